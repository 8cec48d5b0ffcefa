import t from 'tap'
import { methods } from '../../auth-methods/index.ts'
import type { AuthMethod } from '../../core/auth-method.ts'
import { parseConfiguredTemplate } from '../../core/configured.ts'
import { fill } from '../../core/placeholder.ts'
import type { JsonObject } from '../../core/secret.ts'
import { makeCaller, refusal, verdict } from '../core/kit.ts'

const caller = makeCaller()
const method = (id: string) => methods.get(id) as AuthMethod
const values = (id: string, fields: JsonObject) => method(id).values({ config: {}, fields, caller })

/** What `auth` takes beside the method. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  raw: ['type'],
  'separate-url': ['request', 'expires'],
  'aws-keys': ['region', 'service'],
  'aws-role': ['region', 'service'],
}

t.test('lists each method under its own id', async (t) => {
  t.same(
    [...methods.keys()],
    ['none', 'basic', 'api-key', 'raw', 'separate-url', 'oauth2', 'jwt', 'aws-keys', 'aws-role'],
  )
  for (const [id, { id: own, title, configKeys, variables, fields }] of methods) {
    t.equal(own, id)
    t.match(title, /^[A-Z]/)
    t.same(configKeys, KEYS[id] ?? [], id)
    t.equal(
      variables === undefined,
      fields === 'any' && id !== 'separate-url',
      'whatever the credential holds, or what was answered',
    )
  }
})

t.test('each variable that a method promises has a value, and no other is there', async (t) => {
  const entered: Record<string, JsonObject> = {
    none: {},
    basic: { username: 'ada', password: 'p' },
    'api-key': { apiKey: 'k' },
  }
  for (const [id, fields] of Object.entries(entered))
    t.same(Object.keys(values(id, fields).values), method(id).variables, id)
})

t.test('basic joins user name and password as RFC 7617 does, in UTF-8', async (t) => {
  const { values: known, plain, within } = values('basic', { username: 'Aladdin', password: 'open sesame' })
  t.equal(known.BasicAuth, 'QWxhZGRpbjpvcGVuIHNlc2FtZQ==')
  t.same([plain, within], [['Username'], { BasicAuth: ['Password'] }])
  t.equal(values('basic', { username: 'test', password: '123£' }).values.BasicAuth, 'dGVzdDoxMjPCow==')
  const [[name, text] = ['', '']] = method('basic').inject?.({}) ?? []
  const auth = values('basic', { username: 'Aladdin', password: 'open sesame' })
  t.same(
    [name, fill(parseConfiguredTemplate(text), { auth, caller }, () => {})],
    ['Authorization', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='],
  )
})

t.test('basic refuses what cannot be taken apart again, when entered and when used', async (t) => {
  const wrong: JsonObject[] = [
    { username: 'a:b', password: 'p' },
    { username: ':', password: 'p' },
    { username: 'a\n', password: 'p' },
    { username: 'a', password: 'p\0' },
    { username: 'a', password: 'p\x7f' },
    { username: 1, password: 'p' },
    { username: 'a', password: null },
    { username: 'a' },
  ]
  for (const fields of wrong) {
    t.equal(
      verdict(() => method('basic').checkFields?.(fields)),
      'bad_request',
      JSON.stringify(fields),
    )
    t.equal(
      verdict(() => values('basic', fields)),
      'bad_request',
      JSON.stringify(fields),
    )
  }
  t.equal(
    verdict(() => values('basic', { username: 'a', password: 'b:c:d' })),
    'fine',
  )
  const error = refusal(() => values('basic', { username: 'marked:', password: 'marked' }))
  t.notMatch(`${error.message} ${error.hint}`, 'marked')
})

t.test('an API key is one text', async (t) => {
  t.same(values('api-key', { apiKey: 'k' }), { values: { API_Key: 'k' }, plain: [] })
  for (const key of [1, true, ['k'], { a: 'k' }])
    t.equal(
      verdict(() => method('api-key').checkFields?.({ apiKey: key })),
      'bad_request',
    )
  t.equal(method('api-key').inject, undefined, 'it is put where the connection or the client says')
})

t.test('raw gives its fields as they are, all of them secret', async (t) => {
  const fields = { token: 't', nested: { a: [1, 'x'] } }
  t.same(values('raw', fields), { values: fields, plain: [] })
})
