import t from 'tap'
import { canonicalJson } from '../../core/canonical-json.ts'
import { fieldsOfType, isOAuthType, type TypeField, typedValue } from '../../core/credential-type.ts'
import type { Json, JsonObject } from '../../core/secret.ts'

const field = (name: string, rule: Json, required: string[] = []): TypeField =>
  fieldsOfType({ properties: { [name]: rule }, required })[0] as TypeField

t.test('a field of a type says of itself what its schema does', async (t) => {
  t.same(
    field(
      'baseUrl',
      {
        title: 'Where',
        description: 'The address.',
        type: 'string',
        format: 'uri',
        default: 'https://a.example',
        placeholder: 'https://b.example',
        examples: ['https://c.example'],
      },
      ['baseUrl'],
    ),
    {
      name: 'baseUrl',
      title: 'Where',
      description: 'The address.',
      secret: false,
      required: true,
      kinds: ['string'],
      choices: undefined,
      usual: 'https://a.example',
      example: 'https://b.example',
    },
  )
  t.match(field('a', { title: '', examples: ['x', 'y'] }), { title: 'a', required: false, example: 'x' })
  t.match(field('a', { enum: ['x', 'y'] }), { choices: ['x', 'y'] })
  t.match(field('a', null), { title: 'a', kinds: ['string'] })
  t.match(field('a', 'no rule'), { title: 'a', kinds: ['string'] })
  t.same(fieldsOfType({}), [])
  t.equal(fieldsOfType({ properties: { a: {} }, required: 'a' })[0]?.required, false)
})

t.test('the kinds of a field are all that its schema names', async (t) => {
  for (const [rule, kinds] of [
    [{ type: 'integer' }, ['integer']],
    [{ type: ['string', 'null'] }, ['string', 'null']],
    [{ anyOf: [{ type: 'boolean' }, { type: ['number', 'null'] }] }, ['boolean', 'number', 'null']],
    [{ type: 'string', oneOf: [{ type: 'string' }, { type: 'array' }] }, ['string', 'array']],
    [{ anyOf: [null, {}] }, ['string']],
    [{ type: 'date' }, ['string']],
    [{}, ['string']],
  ] as [JsonObject, string[]][])
    t.same(field('a', rule).kinds, kinds, JSON.stringify(rule))
})

t.test('where nothing says that a field may be seen, one that sounds like a secret is one', async (t) => {
  for (const [name, rule] of [
    ['password', {}],
    ['apiKey', { type: 'string' }],
    ['access_token', {}],
    ['my_pat', {}],
    ['userPin', {}],
    ['a', { title: 'Basic Auth' }],
    ['tokens', { type: 'array' }],
    ['credentials', { type: 'object' }],
    ['anything', { writeOnly: true }],
    ['port', { type: 'integer', writeOnly: true }],
    ['url', { format: 'uri', writeOnly: true }],
  ] as [string, JsonObject][])
    t.equal(field(name, rule).secret, true, name)
  for (const [name, rule] of [
    ['username', {}],
    ['path', {}],
    ['spinner', {}],
    ['tokenUrl', { format: 'uri' }],
    ['passEmail', { format: 'email' }],
    ['keyType', { enum: ['a', 'b'] }],
    ['tokenLifetime', { type: 'integer' }],
    ['useToken', { type: 'boolean' }],
    ['anything', { writeOnly: 'true' }],
  ] as [string, JsonObject][])
    t.equal(field(name, rule).secret, false, name)
})

t.test('what is typed becomes what the field wants', async (t) => {
  for (const [rule, answer, value] of [
    [{ enum: [1, 'two', true] }, '1', 1],
    [{ enum: [1, 'two', true] }, 'true', true],
    [{ enum: [1, 'two'] }, 'three', 'three'],
    [{ type: 'string' }, '1', '1'],
    [{ type: 'integer' }, '1', 1],
    [{ type: ['integer', 'string'] }, '1', '1'],
    [{ type: 'object' }, '{"a":1}', { a: 1 }],
    [{ type: 'object' }, '{"a":', '{"a":'],
    [{ type: 'boolean' }, 'yes', 'yes'],
  ] as [JsonObject, string, Json][])
    t.same(typedValue(field('a', rule), answer), value, `${JSON.stringify(rule)} ${answer}`)
})

t.test('a type says whether its tokens come of a consent', async (t) => {
  t.equal(isOAuthType({ $comment: 'OAuth2' }), true)
  t.equal(isOAuthType({ $comment: 'OAuth1' }), false)
  t.equal(isOAuthType({}), false)
})

t.test('one JSON text stands for a value, whatever the order of its keys', async (t) => {
  t.equal(canonicalJson({ b: [1, { d: null, c: 'x' }], a: true }), '{"a":true,"b":[1,{"c":"x","d":null}]}')
  t.equal(canonicalJson({ a: true, b: [1, { c: 'x', d: null }] }), '{"a":true,"b":[1,{"c":"x","d":null}]}')
  t.not(canonicalJson([1, 2]), canonicalJson([2, 1]))
  t.equal(canonicalJson(null), 'null')
})
