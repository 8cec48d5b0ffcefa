import fc from 'fast-check'
import t from 'tap'
import type { HeadFields } from '../../core/heads.ts'
import { fill } from '../../core/placeholder.ts'
import { findPlaceholders } from '../../core/scan.ts'
import { checkHeaderName, headerText, USUAL_SLOTS } from '../../core/slots.ts'
import { makeCaller, refusal, slotsOf, verdict } from './kit.ts'

const USUAL = slotsOf()
const KEY = '<<$Auth.API_Key>>'
const NEVER = [
  'Host',
  'Content-Length',
  'Transfer-Encoding',
  'Connection',
  'TE',
  'Trailer',
  'Upgrade',
  'Keep-Alive',
  'Proxy-Connection',
  'Proxy-Authorization',
  'Expect',
  'Locum-Authorization',
  'Locum-Connection',
  'Locum-For',
]

function head(fields: readonly (readonly [string, string])[]): HeadFields {
  const names = fields.map(([name]) => name.toLowerCase())
  const values = fields.map(([, value]) => value)
  return { names, values, get: (name) => values[names.indexOf(name)] }
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

t.test('the usual headers of a key are slots, and no others (R5)', async (t) => {
  for (const name of USUAL_SLOTS) {
    const [use] = findPlaceholders(
      head([
        ['Accept', '*/*'],
        [name, `Bearer ${KEY}`],
      ]),
      USUAL,
    )
    t.match(use, { name, index: 1, text: `Bearer ${KEY}`, basic: false })
  }
  for (const name of [
    'accept',
    'cookie',
    'user-agent',
    'x-key',
    'authorization-x',
    'host',
    'referer',
    'content-length',
    'transfer-encoding',
    'x_api_key',
  ])
    t.equal(
      verdict(() => findPlaceholders(head([[name, KEY]]), USUAL)),
      'placeholder_not_allowed',
      name,
    )
})

t.test('only slots are ever filled, whatever the headers are called (R5)', async (t) => {
  const name = fc.oneof(
    fc.constantFrom(...USUAL_SLOTS, ...NEVER.map((one) => one.toLowerCase())),
    fc.stringMatching(/^[a-z][a-z0-9_-]{0,15}$/),
  )
  const value = fc.constantFrom(
    'plain',
    KEY,
    '{{$Auth.API_Key}}',
    '{{other}}',
    `a ${KEY} b`,
    basic(`${KEY}:x`),
    basic('u:p'),
    '<<$User.Id>>',
  )
  const holds = (text: string) => !['plain', '{{other}}', basic('u:p')].includes(text)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, value), { maxLength: 6 }),
      fc.uniqueArray(name, { maxLength: 4 }),
      (fields, slots) => {
        const allowed = new Set(slots)
        const rules = { ...USUAL, headers: allowed }
        const stray = fields.some(([at, text]) => holds(text) && !allowed.has(at))
        const found = verdict(() => {
          const uses = findPlaceholders(head(fields), rules)
          t.same(
            uses.map(({ index }) => index),
            fields.flatMap(([, text], index) => (holds(text) ? [index] : [])),
          )
          for (const use of uses) t.ok(allowed.has(use.name))
        })
        t.equal(found, stray ? 'placeholder_not_allowed' : 'fine')
      },
    ),
    { numRuns: 300 },
  )
})

t.test('an error names the header and the slot that would allow it, never the value', async (t) => {
  const error = refusal(() => findPlaceholders(head([['X-Crm', `sk_live_marked ${KEY}`]]), USUAL))
  t.match(error.detail, '`x-crm`')
  t.match(error.hint, 'slots: { headers: [x-crm] }')
  t.notMatch(`${error.message} ${error.hint}`, 'sk_live_marked')
})

t.test('looks into Basic, and knows that it must be encoded again', async (t) => {
  const text = '<<$Auth.Username>>:<<$Auth.Password>>'
  for (const value of [
    basic(text),
    basic(text).replace('Basic', 'basic'),
    basic(text).replace(' ', '   '),
    basic(text).replace(/=+$/, ''),
  ]) {
    const [use] = findPlaceholders(head([['Authorization', value]]), USUAL)
    t.equal(use?.basic, true, value)
    const auth = { values: { Username: 'ada', Password: 'pässword' }, plain: [] }
    t.equal(use && fill(use.template, { auth, caller: makeCaller() }, () => {}), 'ada:pässword')
  }
  t.equal(findPlaceholders(head([['X-Api-Key', basic(text)]]), USUAL)[0]?.basic, true, 'in every slot')
  t.equal(
    verdict(() => findPlaceholders(head([['X-Other', basic(text)]]), USUAL)),
    'placeholder_not_allowed',
  )
  t.equal(
    verdict(() => findPlaceholders(head([['Authorization', basic(text)]]), slotsOf({ headers: [] }))),
    'placeholder_not_allowed',
  )
  t.same(findPlaceholders(head([['Authorization', basic('ada:{{x}}')]]), USUAL), [])
  t.same(findPlaceholders(head([['Authorization', `Bare ${basic(text)}`]]), USUAL), [], 'another scheme')
  const standIn = slotsOf({}, { standInOf16Char: '$Auth.API_Key', AAAABBBBCCCCDDDD: '$Auth.API_Key' })
  const both = `Basic AAAABBBBCCCCDDDD${basic(text).slice(6)}`
  t.equal(
    findPlaceholders(head([['Authorization', both]]), standIn)[0]?.basic,
    false,
    'as it stands counts first',
  )
  t.same(findPlaceholders(head([['Authorization', `${basic(text)}, x`]]), USUAL), [], 'and more behind it')
  t.same(
    findPlaceholders(head([['Authorization', `Digest ${Buffer.from(text).toString('base64')}`]]), USUAL),
    [],
  )
  t.equal(
    findPlaceholders(head([['Authorization', `Basic ${KEY}`]]), USUAL)[0]?.basic,
    false,
    'a placeholder as it stands',
  )
})

t.test('an unresolvable placeholder in a slot is an error', async (t) => {
  for (const value of ['<<$Auth.API_Key', '<<$auth.x>>', basic('<<$Auth.:x'), `${KEY} <<$Auth.`])
    t.equal(
      verdict(() => findPlaceholders(head([['Authorization', value]]), USUAL)),
      'placeholder_unknown',
      value,
    )
})

t.test('a long value is read like a short one', async (t) => {
  const long = `${'x'.repeat(2_000)}${KEY}`
  for (let i = 0; i < 2; i++)
    t.equal(findPlaceholders(head([['Authorization', long]]), USUAL)[0]?.template.paths.length, 1)
})

t.test('what frames a message or speaks to Locum can never be a slot (R5)', async (t) => {
  for (const name of NEVER) {
    for (const spelled of [name, name.toLowerCase(), name.toUpperCase(), name.replaceAll('-', '_')])
      t.equal(
        verdict(() => checkHeaderName(spelled)),
        'bad_request',
        spelled,
      )
  }
  for (const name of ['', 'a b', 'a:b', 'a\r\nb', 'ä', 'a\0', 'a/b'])
    t.equal(
      verdict(() => checkHeaderName(name)),
      'bad_request',
      JSON.stringify(name),
    )
  for (const name of ['X-Key', 'Authorization', 'cookie', 'x_key', 'a.b', 'X-Locum'])
    t.equal(
      verdict(() => checkHeaderName(name)),
      'fine',
      name,
    )
})

t.test(
  'a value with a line break or a control character never lands in a head, nor in the error (R9)',
  async (t) => {
    for (const break_ of ['\r', '\n', '\r\n', '\0', '\x01', '\x0b', '\x1f', '\x7f']) {
      const error = refusal(() => headerText(`sk_live_marked${break_}X-Evil: 1`, '$Auth.API_Key'))
      t.equal(error.code, 'placeholder_not_allowed')
      t.match(error.detail, '$Auth.API_Key')
      t.notMatch(`${error.message} ${error.hint}`, /sk_live_marked|Evil/)
    }
    t.equal(headerText('tab\tand space', '$Auth.A'), 'tab\tand space')
  },
)

t.test('a value beyond ASCII stands in a head as its UTF-8 bytes', async (t) => {
  t.equal(Buffer.from(headerText('pässwörd ✓', '$Auth.A'), 'latin1').toString('utf8'), 'pässwörd ✓')
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (value) => {
      fc.pre(!/\p{Cc}/u.test(value) && value.isWellFormed())
      const text = headerText(value, '$Auth.A')
      t.notMatch(text, /[\u0100-\uffff\r\n\0]/)
      t.equal(Buffer.from(text, 'latin1').toString('utf8'), value)
    }),
    { numRuns: 200 },
  )
})
