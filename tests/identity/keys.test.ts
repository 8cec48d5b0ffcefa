import t from 'tap'
import type { CallOut } from '../../core/call-out.ts'
import type { LocumError } from '../../core/errors.ts'
import { type Issuer, SIGNATURES } from '../../core/identity.ts'
import { proxyKeyHash } from '../../core/proxy-key.ts'
import { Secret } from '../../core/secret.ts'
import { SYSTEM } from '../../core/words.ts'
import { IssuerCallers, RECHECK } from '../../identity/callers.ts'
import { ASK_AGAIN, KEYS_FRESH, KEYS_STALE, TRY_AGAIN } from '../../identity/keys.ts'
import type { Teardown } from '../kit/site.ts'
import { makeFolder, openSite } from '../store/site.ts'
import { makeClock, makeKey, TestIssuer } from './kit.ts'

/** Issuers without servers: `asked` counts the requests for each one's keys; a gate holds one's answers up. */
async function open(t: Teardown, names: readonly string[] = ['https://idp.example'], patience?: number) {
  const clock = makeClock()
  // Nothing here holds the process but what is waited for, whose timers do not.
  const alive = setInterval(() => {}, 60_000)
  t.teardown(() => clearInterval(alive))
  const issuers = await Promise.all(
    names.map(async (name, i) => {
      const issuer = new TestIssuer(name, clock)
      issuer.keys = [await makeKey(`first-${i}`)]
      return Object.assign(issuer, { asked: 0, down: false, gate: undefined as Promise<void> | undefined })
    }),
  )
  const callOut: CallOut = () => async (input, init) => {
    const url = String(input)
    const issuer = issuers.find((one) => url.startsWith(`${one.issuer}/`)) as (typeof issuers)[number]
    const isKeys = url.endsWith('/jwks')
    if (!isKeys) issuer.asked++
    if (issuer.gate) {
      const aborted = new Promise<never>((_, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
      })
      await Promise.race([issuer.gate, aborted])
    }
    if (issuer.down) throw new Error('down')
    return Response.json(isKeys ? issuer.jwks : issuer.metadata)
  }
  const { store, audit } = await openSite(t, makeFolder(t), { env: {}, clock })
  const entries = issuers.map(
    ({ issuer }): Issuer => ({
      issuer,
      audience: 'locum',
      claims: { id: 'sub' },
      algorithms: SIGNATURES,
      rules: {},
    }),
  )
  const callers = new IssuerCallers({ issuers: entries, store, audit, clock, callOut, patience })
  const verify = (token: string) => callers.verify(proxyKeyHash(token), new Secret(token))
  const refusal = (token: string) =>
    verify(token).then(
      () => undefined,
      ({ detail, retryAfter, code }: LocumError) => ({ code, detail, retryAfter }),
    )
  const [first] = issuers as [(typeof issuers)[number]]
  return { clock, issuers, first, callers, store, verify, refusal, entries, callOut, audit }
}

t.test('keys that an issuer has changed are found without a restart, old ones go', async (t) => {
  const { clock, first, verify, refusal } = await open(t)
  await verify(await first.token())
  const [old] = first.keys
  first.keys = [await makeKey('second')]
  t.match(await refusal(await first.token()), { detail: /key id/, retryAfter: Number }, 'asked a moment ago')
  clock.time += ASK_AGAIN
  await verify(await first.token())
  t.equal(first.asked, 2)
  t.match(await refusal(await first.token({}, { key: old })), { detail: /key id/ }, 'the old key is gone')
})

t.test('a key that an issuer withdraws counts no longer than its keys are fresh', async (t) => {
  const { clock, first, verify, refusal } = await open(t)
  const second = await makeKey('second')
  first.keys.push(second)
  await verify(await first.token({}, { key: second }))
  first.keys.pop()
  clock.time += KEYS_FRESH - 1
  await verify(await first.token({}, { key: second }))
  clock.time += 1
  t.match(await refusal(await first.token({}, { key: second })), { detail: /key id/ })
})

t.test('bad tokens make Locum ask an issuer twice a minute at most', async (t) => {
  const { clock, first, verify, refusal } = await open(t)
  await verify(await first.token())
  const end = clock.time + KEYS_FRESH
  let bad = 0
  for (; clock.time < end; clock.time += 1000)
    for (const kid of [`a-${bad}`, `b-${bad}`]) {
      bad++
      t.match(await refusal(await first.token({}, { header: { kid } })), { detail: /key id/ })
    }
  t.equal(bad, 600)
  t.ok(first.asked <= 1 + KEYS_FRESH / ASK_AGAIN, `${first.asked} askings`)
})

t.test('a thousand callers at once cost one asking', async (t) => {
  const { first, verify } = await open(t)
  const tokens = await Promise.all(Array.from({ length: 1000 }, (_, i) => first.token({ sub: `u${i % 50}` })))
  const callers = await Promise.all(tokens.map(verify))
  t.equal(first.asked, 1)
  t.equal(new Set(callers.map(({ principal }) => principal.id)).size, 50)
})

t.test('an issuer that does not answer holds no other up, and lets nobody in', async (t) => {
  const { issuers, first, verify, refusal } = await open(
    t,
    ['https://slow.example', 'https://idp.example'],
    50,
  )
  let release = () => {}
  first.gate = new Promise((resolve) => {
    release = resolve
  })
  const held = refusal(await first.token())
  await verify(await (issuers[1] as TestIssuer).token())
  t.match(await held, { code: 'caller_unauthenticated', detail: /could not be had/, retryAfter: Number })
  release()
})

t.test('an issuer that is down serves from what is known for an hour, and is tried again soon', async (t) => {
  const { clock, first, verify, refusal } = await open(t, ['https://idp.example'], 50)
  first.down = true
  t.match(await refusal(await first.token()), { detail: /could not be had/, retryAfter: TRY_AGAIN / 1000 })
  t.match(await refusal(await first.token()), { detail: /could not be had/ })
  t.equal(first.asked, 1, 'not asked again at once')
  first.down = false
  clock.time += TRY_AGAIN
  await verify(await first.token())
  const known = clock.time

  first.down = true
  clock.time = known + KEYS_FRESH
  await verify(await first.token())
  const unknown = await first.token({}, { header: { kid: 'new' } })
  t.match(await refusal(unknown), { detail: /could not be had/ }, 'it may have a new key')
  // It is asked beside, and whoever brings a known key does not wait for it.
  first.gate = new Promise(() => {})
  clock.time = known + KEYS_STALE - 1
  await verify(await first.token())
  first.gate = undefined
  clock.time = known + KEYS_STALE
  t.match(await refusal(await first.token()), { detail: /could not be had/ })
})

t.test('metadata of another issuer, or keys that are none, are as good as no answer', async (t) => {
  const { clock, first, refusal, verify } = await open(t)
  const real = first.issuer
  for (const answer of [
    { issuer: 'https://other.example' },
    { issuer: `${real}/` },
    {},
    { issuer: real, jwks_uri: 7 },
    { issuer: real, jwks_uri: `${real}/nothing/.well-known` },
  ]) {
    Object.defineProperty(first, 'metadata', { configurable: true, get: () => answer })
    t.match(await refusal(await first.token()), { detail: /could not be had/ }, JSON.stringify(answer))
    clock.time += TRY_AGAIN
  }
  Object.defineProperty(first, 'metadata', { get: () => ({ issuer: real, jwks_uri: `${real}/jwks` }) })
  for (const jwks of [null, [], {}, { keys: 'x' }, { keys: ['x'] }]) {
    Object.defineProperty(first, 'jwks', { configurable: true, get: () => jwks })
    t.match(await refusal(await first.token()), { detail: /could not be had/ }, JSON.stringify(jwks))
    clock.time += TRY_AGAIN
  }
  Object.defineProperty(first, 'jwks', {
    get: () => ({ keys: first.keys.map(({ publicJwk }) => publicJwk) }),
  })
  await verify(await first.token())
})

t.test('a private or a shared key among an issuer’s keys verifies nothing', async (t) => {
  const { first, refusal } = await open(t)
  const { exportJWK } = await import('jose')
  const [key] = first.keys
  const shared = { kty: 'oct', kid: 'shared', k: 'AAAA' }
  const secret = { ...(await exportJWK(key?.privateKey as never)), kid: 'first-0', alg: 'ES256' }
  Object.defineProperty(first, 'jwks', { get: () => ({ keys: [shared, secret] }) })
  t.match(await refusal(await first.token()), { detail: /cannot be verified/ })
  t.match(await refusal(await first.token({}, { header: { kid: 'shared' } })), { detail: /key id/ })
})

t.test('a token is verified once a minute however often it comes', async (t) => {
  const { clock, first, callers, verify } = await open(t)
  const token = await first.token()
  const hash = proxyKeyHash(token)
  t.equal(callers.caller(hash), undefined)
  const caller = await verify(token)
  t.equal(callers.caller(hash), caller)
  clock.time += RECHECK - 1
  t.equal(callers.caller(hash), caller)
  clock.time += 1
  t.equal(callers.caller(hash), undefined)
  const short = await first.token({ exp: clock.seconds + 10 })
  await verify(short)
  clock.time += 10_000
  t.equal(callers.caller(proxyKeyHash(short)), undefined, 'never beyond its end')
})

t.test('a user is written down when they are new or have changed, and not by turns', async (t) => {
  const { clock, first, callOut, audit, store } = await open(t)
  const claims = { id: 'sub', profile: 'role', projects: 'groups' }
  const entry: Issuer = {
    issuer: first.issuer,
    audience: 'locum',
    claims,
    algorithms: SIGNATURES,
    rules: {},
  }
  const callers = new IssuerCallers({ issuers: [entry], store, audit, clock, callOut })
  const verify = (token: string) => callers.verify(proxyKeyHash(token), new Secret(token))
  const one = { role: 'sales', groups: ['b', 'a', 'a'] }
  const { principal } = await verify(await first.token(one))
  t.match(principal, { profile: 'sales', projects: ['b', 'a'], kind: 'user', admin: false })
  const version = async () => (await store.principal(SYSTEM, principal.id))?.version
  t.equal(await version(), 1)
  await verify(await first.token({ ...one, groups: ['a', 'b'] }))
  t.equal(await version(), 1, 'the same in another order')
  await verify(await first.token({ role: 'support' }))
  t.match(await store.principal(SYSTEM, principal.id), { version: 2, profile: 'support', projects: [] })
  for (let i = 0; i < 50; i++) await verify(await first.token(i % 2 ? one : { role: 'support' }))
  t.equal(await version(), 2)
  clock.time += 60_000
  t.match((await verify(await first.token(one))).principal, { profile: 'sales' }, 'each token says it anew')
  t.equal(await version(), 3)
})
