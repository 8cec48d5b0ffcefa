import fc from 'fast-check'
import t from 'tap'
import { mergeParameters } from '../../core/common-query.ts'
import { checkPath } from '../../core/target.ts'
import { fillTarget, findInTarget, parametersOf } from '../../core/target-slots.ts'
import { makeCaller, refusal, slotsOf, verdict } from './kit.ts'

const P = '<<$Auth.API_Key>>'
const slots = slotsOf(
  { path: true, query: ['key', 'a b', 'ü'] },
  { sk_test_standin123: '$Auth.API_Key', 'stand/in+text=1': '$User.Id' },
)

function filled(target: string, key: string, rules = slots): string {
  const path = checkPath(target)
  const use = findInTarget(path, rules)
  return use
    ? fillTarget(use, { auth: { values: { API_Key: key }, plain: [] }, caller: makeCaller() }, () => {})
    : path
}

t.test('a target is no slot until a connection says so', async (t) => {
  const usual = slotsOf()
  for (const target of [
    `/x?k=${P}`,
    '/x?k=%3C%3C%24Auth.API_Key%3E%3E',
    `/${P}`,
    `/x?${P}`,
    `/x?${P}=1`,
    '/x?a={{+$User.Id}}',
  ])
    t.equal(
      verdict(() => findInTarget(target, usual)),
      'placeholder_not_allowed',
      target,
    )
  for (const [target, rules] of [
    [`/${P}?key=${P}`, slotsOf({ path: true })],
    [`/${P}?key=${P}`, slotsOf({ query: ['key'] })],
    [`/x?other=${P}`, slots],
    [`/x?key=1&Key=${P}`, slots],
    [`/x?${P}=key`, slots],
    [`/x?key${P}=1`, slots],
    [`/x?key%00=${P}`, slots],
    ['/x?sk_test_standin123', slots],
    ['/x?other=sk_test_standin12%33', slots],
  ] as const)
    t.equal(
      verdict(() => findInTarget(target, rules)),
      'placeholder_not_allowed',
      target,
    )
  const error = refusal(() => findInTarget(`/x?api_key=${P}`, usual))
  t.match(error.hint, 'slots: { query: [api_key] }')
})

t.test('a value stands for itself alone, in path and query', async (t) => {
  for (const [value, path, query] of [
    ['a/b', 'a%2Fb', 'a%2Fb'],
    ['a?b#c&d=e+f;g', 'a%3Fb%23c%26d%3De%2Bf%3Bg', 'a%3Fb%23c%26d%3De%2Bf%3Bg'],
    ['123:AA-b_c.~@', '123:AA-b_c.~@', '123%3AAA-b_c.~%40'],
    ['100%41', '100%2541', '100%2541'],
    ['ü😀', '%C3%BC%F0%9F%98%80', '%C3%BC%F0%9F%98%80'],
    ['\ud800', '%EF%BF%BD', '%EF%BF%BD'],
    ['a\\b', 'a%5Cb', 'a%5Cb'],
    [P, '%3C%3C%24Auth.API_Key%3E%3E', '%3C%3C%24Auth.API_Key%3E%3E'],
  ] as const) {
    t.equal(filled(`/v/${P}/x?a=1`, value), `/v/${path}/x?a=1`)
    t.equal(filled(`/v?key=${P}&a=1`, value), `/v?key=${query}&a=1`)
  }
})

t.test(
  'a value that would lead elsewhere does not stand in a path, nor a control character in either',
  async (t) => {
    for (const value of ['', '.', '..', '../x', 'x/..', 'x/../y', './', 'x\\..\\y', '..;a', 'x/.']) {
      const error = refusal(() => filled(`/v/${P}/x`, value))
      t.equal(error.code, 'placeholder_not_allowed', value)
      t.match(error.detail, '$Auth.API_Key')
      if (value !== '') t.equal(filled(`/v?key=${P}`, value), `/v?key=${encodeURIComponent(value)}`)
    }
    t.equal(
      verdict(() => filled(`/v/.${P}/x`, '.')),
      'placeholder_not_allowed',
    )
    t.equal(
      verdict(() => filled(`/v%2F${P}`, '..')),
      'placeholder_not_allowed',
    )
    for (const value of ['a\rb', 'a\nb', 'a\0b', '\x7f', '\x1b', '\t'])
      for (const target of [`/v/${P}`, `/v?key=${P}`]) {
        const error = refusal(() => filled(target, `marked${value}`))
        t.equal(error.code, 'placeholder_not_allowed')
        t.match(error.message, target.includes('?') ? /cannot stand in a query/ : /cannot stand in a path/)
        t.notMatch(`${error.message} ${error.hint}`, 'marked')
      }
  },
)

t.test('a stand-in is found as it stands and encoded', async (t) => {
  t.equal(filled('/sk_test_standin123', 'K'), '/K')
  t.equal(filled('/x?key=stand/in+text=1', 'K'), '/x?key=ada')
  t.equal(filled('/x?key=stand%2Fin%2Btext%3D1&a=1', 'K'), '/x?key=ada&a=1')
  t.equal(filled('/x?key=+stand/in+text=1+', 'K'), '/x?key=+ada+')
})

t.test('what opens a placeholder in a slot and is none is an error', async (t) => {
  for (const target of [
    '/<<$Auth.API_Key',
    '/{{$auth.x}}',
    '/x?key=<<$Auth.a&b>>',
    '/x?key=%7B%7B$Auth',
    '/x?key={{$User.Id}}{{$User',
  ])
    t.equal(
      verdict(() => filled(target, 'K')),
      'placeholder_unknown',
      target,
    )
})

t.test(
  'whatever stands around it and whatever the value is, a standard reader finds one value in one place',
  async (t) => {
    const text = fc
      .stringMatching(/^[A-Za-z0-9%20._~-]{0,8}$/)
      .map((one) => one.replace(/%(?![0-9A-Fa-f]{2})/g, '').replaceAll(/%25(?=.?$)/g, ''))
    fc.assert(
      fc.property(text, text, fc.string({ unit: 'grapheme' }), (before, after, key) => {
        fc.pre(!/\p{Cc}/u.test(key) && key.isWellFormed())
        const { searchParams } = new URL(
          filled(`/v?x=1&key=${before}${P}${after}&y=${before}`, key),
          'http://a',
        )
        const decoded = (one: string) => new URLSearchParams(`v=${one}`).get('v')
        t.same(
          [...searchParams],
          [
            ['x', '1'],
            ['key', `${decoded(before)}${key}${decoded(after)}`],
            ['y', decoded(before)],
          ],
        )
        if (key === '' || verdict(() => filled(`/v/a${P}b/x`, key)) !== 'fine') return
        const segments = new URL(filled(`/v/a${P}b/x?key=1`, key), 'http://a').pathname.split('/')
        t.same(segments.map(decodeURIComponent), ['', 'v', `a${key}b`, 'x'])
      }),
      { numRuns: 300 },
    )
  },
)

t.test("a connection's parameters replace the client's of their names, and stand once", async (t) => {
  const common = [
    { name: 'v', text: 'v=2' },
    { name: 'a b', text: 'a%20b=x' },
  ]
  for (const [before, after] of [
    ['', 'v=2&a%20b=x'],
    ['x=1', 'x=1&v=2&a%20b=x'],
    ['v=1&x&v=3&%76=4', 'v=2&x&a%20b=x'],
    ['a+b=1&V=1&v', 'a%20b=x&V=1&v=2'],
    ['&&x=%zz', '&&x=%zz&v=2&a%20b=x'],
  ] as const)
    t.equal(mergeParameters(before, common), after, before)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('v', 'a b', 'x', 'ü'), fc.string({ unit: 'grapheme' }))),
      (pairs) => {
        const given = pairs.filter(([, value]) => value.isWellFormed())
        const merged = new URLSearchParams(mergeParameters(new URLSearchParams(given).toString(), common))
        t.same(merged.getAll('v'), ['2'])
        t.same(merged.getAll('a b'), ['x'])
        for (const name of ['x', 'ü'])
          t.same(
            merged.getAll(name),
            given.filter(([one]) => one === name).map(([, value]) => value),
          )
      },
    ),
    { numRuns: 200 },
  )
})

t.test('a query is its parameters, the empty ones too', async (t) => {
  const names = (text: string) => [...parametersOf(text)].map(({ name, from, to }) => [name, from, to])
  t.same(names(''), [['', 0, 0]])
  t.same(names('a=1&&b&'), [
    ['a', 0, 3],
    ['', 4, 4],
    ['b', 5, 6],
    ['', 7, 7],
  ])
})
