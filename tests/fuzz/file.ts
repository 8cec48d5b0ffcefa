import { readFileSync } from 'node:fs'
import { methods } from '../../auth-methods/index.ts'
import { errorLines } from '../../cli/program.ts'
import { LocumError } from '../../core/errors.ts'
import { readConfigFile } from '../../operations/file.ts'
import { Broken, type Fuzzer } from './engine.ts'

/** Stands in fields and in the environment: no error may hold it. */
const SECRET = 'sk_fuzz_9d41c6b07a25e8f3'
const SCHEMA = JSON.parse(
  readFileSync(new URL('../../docs/locum.schema.json', import.meta.url), 'utf8'),
) as object

const FILES = [
  `connections:
  - name: crm
    destinations: [https://api.crm.example]
    auth: { method: api-key }
    headers: { Authorization: 'Bearer {{$Auth.API_Key}}' }
    allow: { methods: [GET], paths: [/v1/*] }
credentials:
  - { connection: crm, for: shared, fields: { apiKey: ${SECRET} } }
`,
  `name: team
site: { url: https://locum.example.com, contact: it@example.com }
listen: { proxy: 127.0.0.1:8080, console: 127.0.0.1:8081 }
egress: { proxy: http://corp:3128, username: locum, password: { env: CORP }, noProxy: [.internal] }
unmatched: tunnel
limits: { rate: 5, newcomers: 100 }
principals:
  - { id: ada, kind: user, profile: sales, projects: [north], limits: { inFlight: 3 } }
  - { id: back, kind: service, mayActFor: ['user:*'], key: { env: KEY } }
connections:
  - &base
    name: erp
    destinations: [https://*.erp.example]
    ownedWildcard: true
    base: https://a.erp.example/v2
    source: per-user
    fallback: [profile, shared]
    auth: { method: basic }
    slots: { query: [key], json: [/a/b] }
    budget: { perCaller: 10/day }
    redact: block
credentials:
  - { connection: erp, for: 'user:ada', fields: { username: ada, password: { env: PASSWORD } } }
  - { connection: erp, for: 'profile:sales', fields: { username: x, password: ${SECRET} } }
`,
  JSON.stringify({
    connections: [
      {
        name: 'raw',
        destinations: ['http://10.0.0.1:9000'],
        allowPrivateNetwork: true,
        allowPlaintext: true,
        auth: { method: 'raw' },
      },
    ],
    credentials: [{ connection: 'raw', for: 'shared', fields: { token: SECRET, deep: { list: [SECRET] } } }],
  }),
]

/** A file as somebody may write it. */
export const file: Fuzzer = {
  name: 'file',
  promise:
    'a file is read, or refused with a line for each problem; never a crash, and never a secret of it in the refusal',
  corpus: FILES,
  words: [
    ...Object.keys(keysOf(SCHEMA)),
    ...[
      '\n',
      '\n  ',
      ': ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      ',',
      '"',
      "'",
      '|',
      '>',
      '&a',
      '*a',
      '*base',
      '<<: *base',
      '!!binary ',
      '!!js/function ',
      '---\n',
      '...',
      '#',
      '?',
      '%YAML 1.1\n',
      '\t',
      '\0',
      '\ufeff',
      '~',
      'null',
      'true',
      '1e999',
      '-1',
      '.inf',
      '0x10',
      '2001-01-01',
    ],
    ...[
      'https://',
      '*.',
      'https://*',
      '{{$Auth.',
      '}}',
      '{{',
      '__proto__',
      'constructor',
      '../../etc/passwd',
      '-----BEGIN PRIVATE KEY-----',
    ],
  ].map((word) => Buffer.from(word).toString('latin1')),
  share: 5,
  async attempt(input) {
    const text = Buffer.from(input, 'latin1').toString('utf8')
    const env = { CORP: SECRET, KEY: `lcm_${SECRET}`, PASSWORD: SECRET }
    const readFile = async (path: string) => {
      if (path.endsWith('locum.yaml')) return text
      throw Object.assign(new Error(path), { code: 'ENOENT' })
    }
    try {
      await readConfigFile('locum.yaml', { methods, env, readFile })
      return true
    } catch (thrown) {
      if (!(thrown instanceof LocumError) || thrown.code !== 'bad_request') throw thrown
      // As the command shows it.
      const shown = errorLines(thrown).join('\n')
      if (shown.includes(SECRET)) throw new Broken(`a refusal holds a secret: ${shown}`)
      if (!/^locum\.yaml(?::\d+:\d+)?: /.test(thrown.detail))
        throw new Broken(`a refusal without its place: ${thrown.detail}`)
      return false
    }
  },
}

/** The names of all members in a JSON Schema, however deep. */
function keysOf(schema: unknown, keys: Record<string, true> = {}): Record<string, true> {
  if (schema === null || typeof schema !== 'object') return keys
  for (const [name, value] of Object.entries(schema)) {
    if (name === 'properties') for (const key of Object.keys(value as object)) keys[key] = true
    keysOf(value, keys)
  }
  return keys
}
