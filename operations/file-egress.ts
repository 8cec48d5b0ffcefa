import { type Egress, parseDirectRule, parseEgressProxy, proxyAuthorization } from '../core/egress.ts'
import type { Path } from './document.ts'
import { readCa } from './file-certificates.ts'
import type { EgressEntry } from './file-schema.ts'
import type { Context } from './operation.ts'
import { attempt, type Report } from './report.ts'
import { type ReadText, readSecret } from './secret-source.ts'

interface Reading extends Pick<Context, 'env'> {
  readonly readText: ReadText
  problem(path: Path, says: string, part?: 'key' | 'value'): void
}

/** The parent proxy that a file names. What is wrong with it is reported; undefined where that leaves none. */
export async function readEgress(entry: EgressEntry, reading: Reading): Promise<Egress | undefined> {
  let sound = true
  const problem: Report = (path, says, part) => {
    sound = false
    reading.problem(['egress', ...path], says, part)
  }
  const proxy = attempt(problem, ['proxy'], () => parseEgressProxy(entry.proxy))
  const direct = (entry.noProxy ?? []).map((text, i) =>
    attempt(problem, ['noProxy', String(i)], () => parseDirectRule(text)),
  )
  const ca = entry.ca === undefined ? undefined : await readCa(entry.ca, reading.readText, problem)
  if (entry.ca !== undefined && proxy?.scheme === 'http')
    problem(['ca'], 'a proxy that is reached over http:// shows no certificate')
  const authorization = await readAuthorization(entry, reading, problem)
  if (!sound || !proxy) return undefined
  return { ...proxy, authorization, ca, direct: direct.filter((rule) => rule !== undefined) }
}

async function readAuthorization(
  { username, password }: EgressEntry,
  { env, readText }: Reading,
  problem: Report,
): Promise<Egress['authorization']> {
  if (username === undefined || password === undefined) {
    if (username !== undefined) problem(['username'], 'a user name needs a `password` beside it')
    if (password !== undefined) problem(['password'], 'a password needs a `username` beside it')
    return undefined
  }
  const secret = await readSecret(password, env, readText)
  if ('text' in secret) return attempt(problem, [], () => proxyAuthorization(username, secret.text))
  problem(['password'], secret.problem)
  return undefined
}
