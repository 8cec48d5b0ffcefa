import t from 'tap'
import { methods } from '../../auth-methods/index.ts'
import type { AuthMethod } from '../../core/auth-method.ts'
import { checkFields, credentialPlace } from '../../core/credential.ts'
import type { JsonObject } from '../../core/secret.ts'
import { makeCredential, refusal, verdict } from './kit.ts'

const method = (id: string) => methods.get(id) as AuthMethod
const check = (id: string, fields: JsonObject) => verdict(() => checkFields(method(id), fields))

t.test('a field is sealed for its credential, version, owner and audience (R25)', async (t) => {
  t.same(credentialPlace(makeCredential({ version: 3, owner: 'user:ada' }), 'apiKey'), {
    table: 'credentials',
    row: 'cred_1',
    field: 'apiKey',
    version: 3,
    owner: 'user:ada',
    audience: ['https://crm.example'],
  })
})

t.test('takes the fields of the method, all of them and no others', async (t) => {
  t.equal(check('api-key', { apiKey: 'k-12345678' }), 'fine')
  t.equal(check('basic', { username: 'ada', password: 'p-12345678' }), 'fine')
  t.equal(check('raw', { anything: { at: ['all'] } }), 'fine')
  for (const fields of [
    {},
    { apiKey: '' },
    { apiKey: null },
    { apikey: 'k' },
    { apiKey: 'k', more: 'x' },
    JSON.parse('{"__proto__":"x","apiKey":"k"}'),
  ])
    t.equal(check('api-key', fields), 'bad_request', JSON.stringify(fields))
  for (const fields of [
    { username: 'ada' },
    { password: 'p' },
    { username: '', password: 'p' },
  ] as JsonObject[])
    t.equal(check('basic', fields), 'bad_request', JSON.stringify(fields))
  t.equal(check('raw', {}), 'bad_request')
  t.equal(check('none', {}), 'bad_request')
  t.equal(check('none', { apiKey: 'k' }), 'bad_request')
})

t.test('an error holds no value', async (t) => {
  const marked = 'sk_live_marked'
  const wrong: [string, JsonObject][] = [
    ['api-key', { apiKey: marked, other: marked }],
    ['api-key', { apiKey: [marked] }],
    ['basic', { username: `${marked}:x`, password: marked }],
    ['basic', { username: 'ada', password: `${marked}\n` }],
    ['basic', { username: 'ada', password: { marked } }],
    ['none', { apiKey: marked }],
  ]
  for (const [id, fields] of wrong) {
    const error = refusal(() => checkFields(method(id), fields))
    t.equal(error.code, 'bad_request')
    t.notMatch(`${error.message} ${error.hint}`, marked)
  }
})

t.test('warns of a secret that is too short to be searched for, in bytes', async (t) => {
  t.same(checkFields(method('api-key'), { apiKey: '12345678' }), [])
  t.match(checkFields(method('api-key'), { apiKey: '1234567' }), ['`apiKey` is shorter than 8 bytes'])
  t.same(checkFields(method('api-key'), { apiKey: 'ääää' }), [])
  t.same(
    checkFields(method('basic'), { username: 'ada', password: '12345678' }),
    [],
    'a user name is no secret',
  )
  t.match(checkFields(method('raw'), { a: 'x', b: '12345678', c: 5 }), ['`a`'])
})
