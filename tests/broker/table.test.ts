import t from 'tap'
import type { Code } from '../../core/errors.ts'
import { type Connection, type Scope, SYSTEM } from '../../core/words.ts'
import { makeConnection } from '../core/kit.ts'
import { HERE, openBroker, valueIn } from './kit.ts'

/** What a credential may be like, and what a caller is told whose turn it is. */
const STATES: Record<string, Code | 'fine'> = {
  fine: 'fine',
  disabled: 'credential_missing',
  'outside its audience': 'credential_outside_audience',
  'sealed for another place': 'internal',
}
const KINDS = ['user', 'profile', 'shared'] as const
type Kind = (typeof KINDS)[number]
const SCOPES: Record<Kind, Scope> = { user: 'user:ada', profile: 'profile:sales', shared: 'shared' }

const SOURCES: readonly [Connection['source'], Connection['fallback'], readonly Kind[]][] = [
  ['shared', [], ['shared']],
  ['per-profile', [], ['profile']],
  ['per-profile', ['shared'], ['profile', 'shared']],
  ['per-user', [], ['user']],
  ['per-user', ['profile'], ['user', 'profile']],
  ['per-user', ['shared'], ['user', 'shared']],
  ['per-user', ['profile', 'shared'], ['user', 'profile', 'shared']],
  ['per-user', ['shared', 'profile'], ['user', 'profile', 'shared']],
]

/** Which credentials are there, each in a state or not at all: 5 × 5 × 5. */
function* situations(): Generator<Record<Kind, string | undefined>> {
  const states = [undefined, ...Object.keys(STATES)]
  for (const user of states)
    for (const profile of states) for (const shared of states) yield { user, profile, shared }
}

t.test('the first that exists serves or fails: the whole table, with no silent downgrade', async (t) => {
  const b = await openBroker(t)
  await b.connect({ name: 'home' })
  for (const kind of KINDS) {
    const fields = { apiKey: `key of ${kind}` }
    const enter = (state: string, more: object, sealedFor?: string) =>
      b.enter({
        connection: 'home',
        scope: SCOPES[kind],
        fields,
        more: { id: `${kind} ${state}`, ...more },
        sealedFor,
      })
    await enter('fine', {})
    await enter('disabled', { disabled: true })
    await enter('outside its audience', { audience: ['https://other.example'] })
    await enter('sealed for another place', {}, 'elsewhere')
  }
  const cases = [...situations()].flatMap((present, i) =>
    SOURCES.map(([source, fallback, order], j) => ({ name: `c${i}-${j}`, present, source, fallback, order })),
  )
  await b.store.transact(SYSTEM, async (store) => {
    for (const { name, present, source, fallback } of cases) {
      await store.putConnection(SYSTEM, makeConnection({ name, source, fallback }))
      for (const kind of KINDS) {
        const credential = present[kind] && `${kind} ${present[kind]}`
        if (credential) await store.bind(SYSTEM, { connection: name, scope: SCOPES[kind], credential })
      }
    }
  })
  await b.poll()
  const wrong: string[] = []
  let served = 0
  for (const { name, present, source, fallback, order } of cases) {
    for (const profile of ['sales', undefined]) {
      const looked = order.filter((kind) => kind !== 'profile' || profile !== undefined)
      const first = looked.find((kind) => present[kind] !== undefined)
      const verdict = first ? STATES[present[first] as string] : 'credential_missing'
      const expected = verdict === 'fine' ? `key of ${first} for ${SCOPES[first as Kind]}` : verdict
      const got = await b
        .open({ name, at: HERE, who: { id: 'ada', profile } })
        .then((material) => `${valueIn(material, 'API_Key')} for ${material.credential.scope}`)
        .catch((error: { code: Code }) => error.code)
      if (got !== expected)
        wrong.push(`${source} ${fallback} ${JSON.stringify(present)} ${profile}: ${got}, not ${expected}`)
      if (verdict === 'fine') served++
    }
  }
  t.same(wrong.slice(0, 10), [])
  t.equal(cases.length * 2, 2_000)
  t.ok(served > 200)
})
