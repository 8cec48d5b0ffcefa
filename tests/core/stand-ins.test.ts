import fc from 'fast-check'
import t from 'tap'
import {
  fill,
  mayHoldPlaceholder,
  parseClientTemplate,
  targetMayHoldPlaceholder,
} from '../../core/placeholder.ts'
import { compileStandIns } from '../../core/stand-ins.ts'
import { makeCaller, refusal, verdict } from './kit.ts'

const standIns = compileStandIns({ 'sk_test_standin.123': '$Auth.API_Key', 'AKIAEXAMPLE+/=1': '$User.Id' })
const auth = { values: { API_Key: 'K', Half: 'sk_test_' }, plain: [] }
const filled = (text: string, key = 'K') =>
  fill(
    parseClientTemplate(text, standIns),
    { auth: { ...auth, values: { ...auth.values, API_Key: key } }, caller: makeCaller() },
    () => {},
  )

t.test('a stand-in is replaced wherever it stands in a text, as it is written', async (t) => {
  for (const [before, after] of [
    ['sk_test_standin.123', 'K'],
    ['Bearer sk_test_standin.123!', 'Bearer K!'],
    ['sk_test_standin.123sk_test_standin.123', 'KK'],
    ['<<$Auth.API_Key>> AKIAEXAMPLE+/=1 {{$User.Id}}', 'K ada ada'],
    ['{{ sk_test_standin.123 }} <<x>>', '{{ K }} <<x>>'],
    ['SK_TEST_STANDIN.123', 'SK_TEST_STANDIN.123'],
    ['sk_test_standin_123', 'sk_test_standin_123'],
    ['sk_test_standin.12', 'sk_test_standin.12'],
  ] as const)
    t.equal(filled(before), after, before)
  t.ok(mayHoldPlaceholder('x sk_test_standin.123', standIns))
  t.notOk(mayHoldPlaceholder('x sk_test_standin.123'))
})

t.test('what was put in is not expanded again (R6)', async (t) => {
  t.equal(filled('<<$Auth.API_Key>>', 'sk_test_standin.123'), 'sk_test_standin.123')
  t.equal(filled('<<$Auth.Half>>standin.123'), 'sk_test_standin.123')
})

t.test('what a client writes around it stays', async (t) => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (before, after) => {
      fc.pre(![before, after].some((one) => one.includes('%') || mayHoldPlaceholder(one, standIns)))
      t.equal(filled(`${before}sk_test_standin.123${after}`), `${before}K${after}`)
    }),
    { numRuns: 200 },
  )
})

t.test('what cannot be a stand-in is refused', async (t) => {
  t.equal(compileStandIns({}), undefined)
  for (const length of [12, 256])
    t.ok(compileStandIns({ ['x'.repeat(length)]: '$Auth.API_Key' }), `${length}`)
  for (const text of [
    '',
    'sk_test_abc',
    'a'.repeat(257),
    'sk_test standin',
    '<<$Auth.API_Key>>',
    'sk_test_{{x}}_standin',
    'sk_test_stand"in',
    'sk_test_stand\\in',
    'sk_test_ständin1',
    'sk_test_stand\r\nin',
    'sk_test_stand&in',
    'sk_test_stand%41',
  ])
    t.equal(
      verdict(() => compileStandIns({ [text]: '$Auth.API_Key' })),
      'bad_request',
      JSON.stringify(text),
    )
  for (const variable of ['', 'API_Key', '{{$Auth.API_Key}}', '$Auth', 'sk_live_1'])
    t.equal(
      verdict(() => compileStandIns({ sk_test_standin1: variable })),
      'bad_request',
      variable,
    )
  for (const other of ['sk_test_standin', 'test_standin1', 'xsk_test_standin1x']) {
    const error = refusal(() => compileStandIns({ sk_test_standin1: '$Auth.A', [other]: '$Auth.B' }))
    t.equal(error.code, 'bad_request', other)
  }
})

t.test('a stand-in that is percent-encoded in a target is seen', async (t) => {
  for (const target of [
    '/x?k=sk_test%5fstandin.123',
    '/sk%5Ftest_standin%2E123',
    '/x?k=AKIAEXAMPLE%2B%2F%3D1',
  ])
    t.equal(targetMayHoldPlaceholder(target, standIns), true, target)
  t.equal(targetMayHoldPlaceholder('/x?k=sk%5Ftest_another', standIns), false)
})
