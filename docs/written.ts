import { openApi } from '../api/openapi.ts'
import { methods } from '../auth-methods/index.ts'
import { fileJsonSchema } from '../operations/json-schema.ts'
import { type Template, templates } from '../operations/template.ts'
import { VERSION } from '../version.ts'

/** The files of this folder that are made of the code, by name, as they have to be. */
export function written(): Readonly<Record<string, string>> {
  return {
    'locum.schema.json': `${JSON.stringify(fileJsonSchema(methods), undefined, 2)}\n`,
    'openapi.json': `${JSON.stringify(openApi(VERSION), undefined, 2)}\n`,
    'TEMPLATES.md': templatesText([...templates.values()]),
  }
}

function templatesText(all: readonly Template[]): string {
  const rows = all.map(({ name, title, keyAt, docs, ask, connection }) => {
    const answers = Object.entries(ask)
      .filter(([, { secret }]) => !secret)
      .map(([question, { default: usual }]) => `\`${question}\`${usual === undefined ? '' : ` (${usual})`}`)
    const hosts = connection.destinations.map((destination) => destination.replace('https://', ''))
    return [
      `\`${name}\``,
      `[${title}](${docs})`,
      hosts.map((host) => `\`${host}\``).join(' '),
      setsOf(connection)
        .map((header) => `\`${header}\``)
        .join(' '),
      answers.join(', ') || '–',
      keyAt.includes('{') ? `\`${keyAt}\`` : `<${keyAt}>`,
    ]
  })
  const heads = ['template', 'API', 'reaches', 'sets', 'asks beside the key', 'a key is made at']
  return `${HEAD}${[heads, heads.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`
}

function setsOf({ auth, headers }: Template['connection']): string[] {
  if (auth.method === 'basic') return ['Authorization: Basic …']
  return Object.entries(headers ?? {}).map(
    ([name, value]) => `${name}: ${value.replace(/\{\{.*?\}\}/g, '…')}`,
  )
}

const HEAD = `# Templates

\`locum add TEMPLATE\` makes a connection and its credential for one of these APIs, and prints the line to paste. The key
is asked for without an echo, or read from standard input; it is never an argument. Whatever else a template asks is
answered with \`--set NAME=VALUE\`, in the same JSON object as the key, or at the prompt.

\`\`\`console
$ locum add openai
$ pass show stripe/key | locum add stripe --for user:ada
$ locum add jira --set site=acme --set email=ada@example.com < token.txt
$ locum add github --show > github.yaml
\`\`\`

\`--for\` says whom the key serves (\`shared\` unless told); a connection that has keys of several kinds looks for the
caller's own first, then their profile's, then the shared one. \`--show\` prints the same as a file for \`locum apply\`. A
second time is an error unless \`--replace\` says that the key is to be entered again. What a file manages is not touched.

Every host is exact: a key goes nowhere else. An API that is not here is a few lines in a file; \`--show\` of one that
authenticates alike is a good start.

`
