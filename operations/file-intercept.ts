import type { ConnectionEntry } from './file-schema.ts'
import type { Report } from './report.ts'

/** What says something about requests that nobody reads. */
const OF_REQUESTS = ['headers', 'body', 'query', 'slots', 'placeholders', 'redact']

/** Reports what `intercept: false` makes a promise that CONNECT would not keep. */
export function checkUntouched(entry: ConnectionEntry, problem: Report): void {
  const why = 'with `intercept: false`: what passes untouched is not read'
  if (entry.auth.method !== 'none') {
    problem(['auth', 'method'], `only \`none\` goes ${why}, and nothing is put into it`)
  }
  for (const key of Object.keys(entry)) {
    if (OF_REQUESTS.includes(key)) problem([key], `does not go ${why}`, 'key')
  }
  for (const key of ['methods', 'paths'] as const) {
    if (entry.allow?.[key]) problem(['allow', key], `does not go ${why}`, 'key')
  }
}
