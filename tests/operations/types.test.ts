import t from 'tap'
import { fieldsOfType, isOAuthType, typedValue } from '../../core/credential-type.ts'
import type { JsonObject } from '../../core/secret.ts'
import { setCredential, showCredential } from '../../operations/credentials.ts'
import { checkSchema, fieldsByType } from '../../operations/type-check.ts'
import { importType, listTypes, removeType, showType } from '../../operations/types.ts'
import { refusal } from '../core/kit.ts'
import { openDesk } from './kit.ts'

const SCHEMA: JsonObject = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  properties: {
    hostUrl: {
      title: 'Host URL',
      type: 'string',
      format: 'uri',
      minLength: 1,
      examples: ['https://a.example'],
    },
    username: { type: 'string', description: 'Who logs in' },
    password: { title: 'Password', type: 'string', writeOnly: true, minLength: 3 },
    apiVersion: { anyOf: [{ type: 'string' }, { type: 'null' }], placeholder: '38', default: '40' },
    pat: { title: 'Personal Access Token', type: 'string' },
    port: { type: 'integer' },
    ssl: { type: 'boolean' },
    mode: { enum: ['fast', 'slow'] },
    options: { type: 'object', additionalProperties: true },
  },
  required: ['hostUrl', 'password'],
  additionalProperties: false,
}
const SECRET = 'the-password-of-nobody'

t.test('a schema says what a form asks', async (t) => {
  const fields = fieldsOfType(SCHEMA)
  t.match(fields, [
    {
      name: 'hostUrl',
      title: 'Host URL',
      secret: false,
      required: true,
      kinds: ['string'],
      example: 'https://a.example',
    },
    { name: 'username', title: 'username', description: 'Who logs in', secret: false, required: false },
    { name: 'password', secret: true, required: true },
    { name: 'apiVersion', secret: false, kinds: ['string', 'null'], example: '38', usual: '40' },
    { name: 'pat', secret: true },
    { name: 'port', kinds: ['integer'], secret: false },
    { name: 'ssl', kinds: ['boolean'], secret: false },
    { name: 'mode', choices: ['fast', 'slow'], secret: false },
    { name: 'options', kinds: ['object'], secret: false },
  ])
  t.same(
    fields.map((field) => typedValue(field, field.name === 'mode' ? 'fast' : '8')),
    ['8', '8', '8', '8', '8', 8, 8, 'fast', 8],
  )
  t.equal(typedValue(fields[6] as never, 'true'), true)
  t.equal(typedValue(fields[5] as never, 'many'), 'many', 'the schema says what is wrong with it')
  t.equal(isOAuthType({ $comment: 'OAuth2' }), true)
  t.equal(isOAuthType(SCHEMA), false)
})

t.test('what a schema does not call a secret is one where its name tells', async (t) => {
  const secret = (name: string, rule: JsonObject = { type: 'string' }) =>
    fieldsOfType({ properties: { [name]: rule } })[0]?.secret
  for (const name of [
    'apiKey',
    'api_key',
    'accessToken',
    'client_secret',
    'passphrase',
    'privateKey',
    'pat',
    'PIN',
    'authorization',
  ])
    t.equal(secret(name), true, name)
  for (const name of ['user', 'baseUrl', 'email', 'region', 'path', 'spin', 'database'])
    t.equal(secret(name), false, name)
  t.equal(secret('note', { type: 'string', writeOnly: true }), true)
  t.equal(secret('x', { type: 'string', title: 'API Key' }), true)
  t.equal(secret('tokenUrl', { type: 'string', format: 'uri' }), false)
  t.equal(secret('keyCount', { type: 'integer' }), false)
})

t.test('fields are what the schema has them be, and no value is in an error', async (t) => {
  const read = (fields: JsonObject) => fieldsByType('crm', SCHEMA, fields)
  t.same(read({ hostUrl: 'https://a.example', password: SECRET, username: '' }), {
    hostUrl: 'https://a.example',
    password: SECRET,
    apiVersion: '40',
  })
  for (const [fields, says] of [
    [{ password: SECRET }, /`hostUrl` is missing/],
    [{ hostUrl: 'https://a.example' }, /`password` is missing/],
    [{ hostUrl: SECRET, password: SECRET }, /`hostUrl` is no uri/],
    [{ hostUrl: 'https://a.example', password: 'x' }, /`password` is too short/],
    [{ hostUrl: 'https://a.example', password: SECRET, port: SECRET }, /`port` is no integer/],
    [{ hostUrl: 'https://a.example', password: SECRET, mode: SECRET }, /`mode` is one of fast, slow/],
    [{ hostUrl: 'https://a.example', password: SECRET, [SECRET]: 'x' }, /a field that it has not/],
  ] as [JsonObject, RegExp][]) {
    const { code, message, hint } = refusal(() => read(fields))
    t.equal(code, 'bad_request')
    t.match(message, says)
    t.notMatch(`${message} ${hint}`, SECRET)
  }
})

t.test('a schema that asks to be checked later is checked at once', async (t) => {
  const schema = { ...SCHEMA, $async: true }
  t.same(checkSchema(schema), schema)
  t.match(refusal(() => fieldsByType('crm', schema, {})).message, /`hostUrl` is missing/)
})

t.test('what is no type says why', async (t) => {
  for (const [schema, why] of [
    [[], /no object/],
    [{ properties: {} }, /`type` is not `object`/],
    [{ type: 'object' }, /no `properties`/],
    [{ type: 'object', properties: { 'a b': {} } }, /`a b` cannot be a variable/],
    [{ type: 'object', properties: { a: { $ref: 'https://evil.example/x' } } }, /\$ref/],
    [{ type: 'object', properties: { a: { type: 'text' } } }, /JSON Schema says/],
    [{ type: 'object', properties: { a: { description: 'x'.repeat(70_000) } } }, /larger than 64 KiB/],
    [
      {
        type: 'object',
        properties: Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`f${i}`, {}])),
      },
      /more than 200/,
    ],
  ] as [unknown, RegExp][])
    t.match(refusal(() => checkSchema(schema)).message, why)
})

const FILE = `
connections:
  - { name: crm, destinations: [https://crm.example], auth: { method: raw, type: crm }, base: "{{$Auth.hostUrl}}" }
`

t.test('a type is brought in, used, replaced and removed', async (t) => {
  const desk = await openDesk(t)
  await t.rejects(desk.apply(FILE), { message: /auth\.type: there is no credential type crm/ })
  t.match(await desk.run(importType, { name: 'crm', schema: SCHEMA }), {
    changed: true,
    type: { version: 1 },
  })
  t.match(await desk.run(importType, { name: 'crm', schema: SCHEMA }), {
    changed: false,
    type: { version: 1 },
  })
  await desk.apply(FILE)
  t.match(await desk.run(listTypes, {}), [{ name: 'crm', schema: SCHEMA, connections: ['crm'] }])
  await t.rejects(desk.run(removeType, { name: 'crm' }), { message: /`crm` is of the type/ })
  const enter = (fields: JsonObject) => desk.run(setCredential, { connection: 'crm', for: 'shared', fields })
  await t.rejects(enter({ password: SECRET }), { message: /`hostUrl` is missing/ })
  const { id } = await enter({ hostUrl: 'https://crm.example/x/', password: SECRET, username: 'ada' })
  t.same(await desk.fieldsOf('crm', 'shared'), {
    hostUrl: 'https://crm.example/x/',
    password: SECRET,
    username: 'ada',
    apiVersion: '40',
  })
  t.notMatch(JSON.stringify(await desk.run(showCredential, { id })), SECRET)
  const kept = await desk.context.store.credential(desk.context.as, id)
  t.same(kept?.plain, ['hostUrl', 'username', 'apiVersion'])
  t.match(await desk.run(importType, { name: 'crm', schema: { ...SCHEMA, required: [] } }), {
    type: { version: 2 },
  })
  t.match(await desk.run(showType, { name: 'crm' }), { version: 2, oauth: false })
  await t.rejects(desk.run(showType, { name: 'crn' }), { code: 'not_found' })
  await desk.apply('connections: []', { prune: true })
  await desk.run(removeType, { name: 'crm' })
  t.same(await desk.run(listTypes, {}), [])
  const subjects = (await desk.changes()).filter(({ operation }) => String(operation).startsWith('type.'))
  t.match(
    subjects.map(({ operation, outcome }) => `${operation} ${outcome}`),
    ['type.import done', 'type.rm failed', 'type.import done', 'type.rm done'],
  )
})

t.test('a file’s fields are held to the type, with their place', async (t) => {
  const desk = await openDesk(t)
  await desk.run(importType, { name: 'crm', schema: SCHEMA })
  desk.env.PASSWORD = SECRET
  const file = (fields: string) =>
    `${FILE}credentials:\n  - { connection: crm, for: shared, fields: ${fields} }\n`
  await t.rejects(desk.apply(file('{ password: { env: PASSWORD } }')), {
    message: /credentials\[0\]\.fields: That is no `crm` credential: `hostUrl` is missing/,
  })
  const whole = file('{ hostUrl: "https://crm.example/", password: { env: PASSWORD }, port: 8443 }')
  t.equal((await desk.apply(whole)).changes.length, 2)
  t.equal((await desk.apply(whole)).changes.length, 0, 'applied again it changes nothing')
})
