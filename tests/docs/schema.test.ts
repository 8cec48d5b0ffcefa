import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import t from 'tap'
import { parse } from 'yaml'
import { methods } from '../../auth-methods/index.ts'
import type { AuthMethod } from '../../core/auth-method.ts'
import { written } from '../../docs/written.ts'
import { readConfigFile } from '../../operations/file.ts'
import { fileJsonSchema, type SchemaNode } from '../../operations/json-schema.ts'
import { templates } from '../../operations/template.ts'
import { templateFile } from '../../operations/template-file.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const schema = JSON.parse(read('docs/locum.schema.json')) as SchemaNode

t.test('what is published is what the code makes of itself', async (t) => {
  for (const [name, text] of Object.entries(written())) {
    t.equal(read(`docs/${name}`), text, `docs/${name} is stale: npm run schema`)
  }
})

function isNode(value: unknown): value is SchemaNode {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/** The keys that do not say what they are for, as `connections[].allow.paths`. */
function undescribed(node: SchemaNode, path = ''): string[] {
  const below = (part: unknown, at: string) => (isNode(part) ? undescribed(part, at) : [])
  const properties = Object.entries((node.properties ?? {}) as Record<string, SchemaNode>)
  return [
    ...properties.flatMap(([name, part]) => {
      const at = path === '' ? name : `${path}.${name}`
      return [...(part.description ? [] : [at]), ...undescribed(part, at)]
    }),
    ...below(node.items, `${path}[]`),
    ...below(node.additionalProperties, `${path}.*`),
    ...((node.anyOf ?? []) as readonly SchemaNode[]).flatMap((branch) => undescribed(branch, path)),
  ]
}

t.test('every key of the file says what it is for', async (t) => {
  t.same(
    undescribed(fileJsonSchema(methods)),
    [],
    'write about(`what it is for`, schema) around each of these in operations/file-schema.ts',
  )
  const bare: AuthMethod = {
    id: 'bare',
    title: 'A method',
    fields: {},
    configKeys: ['told', 'untold'],
    configSchema: { told: { type: 'string', description: 'What it is for.' } },
    values: () => ({ values: {}, plain: [] }),
  }
  t.same(undescribed(fileJsonSchema(new Map([['bare', bare]]))), ['connections[].auth.untold'])
  t.same(undescribed({ properties: { a: {}, b: { description: 'b', items: { properties: { c: {} } } } } }), [
    'a',
    'b[].c',
  ])
})

const ajv = new Ajv({ strict: true, strictRequired: false, allErrors: true })
ajv.addKeyword('patternErrorMessage')
const validate = ajv.compile(schema)

/** What an environment holds where every variable is set. */
const everything = new Proxy({} as Record<string, string>, { get: () => 'a-value-of-the-environment' })

/** Whether Locum's own reader takes a text; the files that it names hold `reads`. */
async function isRead(text: string): Promise<boolean> {
  const readFile = async (path: string) => (path.endsWith('locum.yaml') ? text : 'what a file holds')
  return readConfigFile('locum.yaml', { methods, env: everything, readFile }).then(
    () => true,
    () => false,
  )
}

t.test('every example and every template is valid, for the schema and for the reader', async (t) => {
  const examples = readdirSync(join(ROOT, 'examples')).filter((name) => /\.ya?ml$/.test(name))
  t.ok(examples.length >= 2)
  for (const name of examples) {
    const text = read(`examples/${name}`)
    t.match(text, /^# yaml-language-server: \$schema=\.\.\/docs\/locum\.schema\.json$/m, name)
    t.ok(validate(parse(text)), `${name}: ${ajv.errorsText(validate.errors)}`)
  }
  for (const template of templates.values()) {
    const text = templateFile(template, {})
    t.ok(validate(parse(text)), `${template.name}: ${ajv.errorsText(validate.errors)}`)
    t.ok(await isRead(text), template.name)
  }
})

const STRIPE = `connections:
  - name: stripe
    destinations: [https://api.stripe.com]
    auth: { method: api-key }
`
const changed = (from: string, to: string) => STRIPE.replace(from, to)
const withKey = (line: string) => `${STRIPE}    ${line}\n`
const credential = (fields: string, rest = 'for: shared') =>
  `${STRIPE}credentials:\n  - { connection: stripe, ${rest}, fields: ${fields} }\n`

t.test('the schema and the reader agree', async (t) => {
  const good = [
    '{}',
    'name: team',
    'site: {}',
    'site: { url: https://locum.example.com, contact: it@example.com }',
    'listen: { proxy: 127.0.0.1:8080, console: "[::1]:8081" }',
    'principals: [{ id: ada }]\nidentity: { default: ada }',
    'principals: [{ id: ada@example.com, kind: service, profile: sales, email: a@b.c, projects: [], admin: true }]',
    STRIPE,
    withKey('source: per-user\n    fallback: [profile, shared]'),
    withKey('headers: { Authorization: "Bearer {{$Auth.API_Key}}" }'),
    withKey('allow: { methods: [GET], paths: [/v1/*], profiles: [a], projects: [b] }'),
    withKey('slots: { headers: [] }'),
    withKey('cors: { origins: [https://app.example.com] }'),
    withKey('allowPrivateNetwork: false\n    allowPlaintext: true\n    ownedWildcard: true'),
    changed('api-key }', 'basic }\n    source: shared'),
    changed('api-key', 'none'),
    credential('{ apiKey: { env: STRIPE_KEY } }'),
    credential('{ apiKey: { file: ./stripe.key } }', 'for: "user:ada", name: live, projects: [north]').concat(
      'principals: [{ id: ada }]\n',
    ),
    changed('api-key', 'raw').concat(
      'credentials: [{ connection: stripe, for: shared, fields: { a: [1, { b: null }], env: true } }]\n',
    ),
  ]
  const bad = [
    'nmae: team',
    'name: ""',
    'name: -x',
    'name: 1',
    '[]',
    'site: { uri: https://locum.example.com }',
    'site: []',
    'listen: { proxy: 8080 }',
    'listen: { proxy: ":8080" }',
    'identity: { default: "a b" }',
    'principals: [{ kind: user }]',
    'principals: [{ id: "a b" }]',
    'principals: [{ id: ada, kind: robot }]',
    'principals: [{ id: ada, admin: yes please }]',
    'principals: [{ id: ada, projects: north }]',
    'principals: [{ id: ada, key: lcm_in_clear }]',
    'principals: [{ id: ada, key: { env: A, file: b } }]',
    'principals: [{ id: ada, key: { env: "" } }]',
    'principals: { id: ada }',
    changed('name: stripe', 'name: "stripe/2"'),
    changed('[https://api.stripe.com]', '[]'),
    changed('[https://api.stripe.com]', 'https://api.stripe.com'),
    changed('    auth: { method: api-key }\n', ''),
    changed('api-key', 'api-kye'),
    changed('api-key', 'basic'),
    changed('{ method: api-key }', 'api-key'),
    changed('{ method: api-key }', '{ method: api-key, header: X-Key }'),
    withKey('header: {}'),
    withKey('headers: { Authorization: 1 }'),
    withKey('headers: [Authorization]'),
    withKey('source: per-team'),
    withKey('source: per-user\n    fallback: shared'),
    withKey('allow: { methods: [get] }'),
    withKey('allow: { paths: [v1] }'),
    withKey('allow: { path: [/v1] }'),
    withKey('slots: { header: [] }'),
    withKey('cors: {}'),
    withKey('allowPlaintext: 1'),
    withKey('ca: ""'),
    credential('{ apiKey: x }', 'for: everybody'),
    credential('{ apiKey: x }', 'for: "user:"'),
    credential('[]'),
    `${STRIPE}credentials: [{ connection: stripe, for: shared }]\n`,
  ]
  for (const [files, verdict] of [
    [good, true],
    [bad, false],
  ] as const) {
    for (const text of files) {
      t.equal(validate(parse(text)), verdict, `the schema: ${text}`)
      t.equal(await isRead(text), verdict, `the reader: ${text}`)
    }
  }
})

t.test('what one value says about another, the reader alone tells', async (t) => {
  for (const text of [
    'principals: [{ id: ada }, { id: ada }]',
    changed('https://api', 'ftp://api'),
    changed('https://api.stripe.com', 'https://127.0.0.1'),
    withKey('fallback: [shared]'),
    withKey('headers: { Host: x }'),
    withKey('headers: { X-Key: "{{$Auth.Password}}" }'),
    withKey('cors: { origins: ["*"] }'),
    withKey('base: https://elsewhere.example'),
    credential('{ password: { env: STRIPE_KEY } }'),
  ]) {
    t.ok(validate(parse(text)), text)
    t.notOk(await isRead(text), text)
  }
})
