import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { openAuthority } from '../../certs/authority.ts'
import { exportAuthority } from '../../certs/export.ts'
import { followAuthority } from '../../certs/following.ts'
import { describeAuthority, OVERLAP, rotate } from '../../certs/rotation.ts'
import { LocumError } from '../../core/errors.ts'
import type { Sealer, Store } from '../../core/store.ts'
import { LOCAL, SYSTEM } from '../../core/words.ts'
import { absent } from '../clients/running.ts'
import { startSite } from '../kit/site.ts'
import { certificateFrom, handshake, type MovableClock, movableClock, newSite } from './kit.ts'

const HOST = 'api.example.com'
const HALF_AN_HOUR = 30 * 60 * 1000
const DAY = 24 * 60 * 60 * 1000
const YEAR = 365 * DAY

const noOpenssl = absent('openssl', ['version'], 'openssl') ?? false

interface Stand {
  readonly store: Store
  readonly sealer: Sealer
  readonly clock: MovableClock
}

async function stand(t: Test): Promise<Stand> {
  const [store, sealer] = await newSite(t)
  return { store, sealer, clock: movableClock() }
}

const turn = ({ store, sealer, clock }: Stand, signsFrom?: number) => rotate(store, sealer, clock, signsFrom)
const open = ({ store, sealer, clock }: Stand) => openAuthority(store, sealer, clock)

t.test('who trusts old and new is served at every stage; who trusts one, while it signs', async (t) => {
  const x = await stand(t)
  const authority = await open(x)
  const old = authority.certificatePem
  // Within the hour by which a leaf is backdated, so that clients with the true time take it.
  t.equal(await turn(x, x.clock.now() + HALF_AN_HOUR), true)
  await authority.reload()
  const both = authority.trustedPem
  const next = both.slice(old.length)
  t.ok(both.startsWith(old), 'the one that signs comes first')
  const accepted = async () => {
    const context = authority.leafFor(HOST)
    const of = async (ca: string) => (await handshake(context, HOST, ca)).error === undefined
    return { old: await of(old), next: await of(next), both: await of(both) }
  }
  t.same(await accepted(), { old: true, next: false, both: true })
  x.clock.advance(HALF_AN_HOUR - 1)
  t.same(await accepted(), { old: true, next: false, both: true }, 'to the last moment')
  x.clock.advance(1)
  t.same(await accepted(), { old: false, next: true, both: true }, 'and not a moment longer')
  t.equal(authority.trustedPem, next, 'the old one is given to nobody any more')
  t.equal((await open(x)).trustedPem, next, 'nor by one that starts later')
})

t.test('openssl sees the same at every stage', { skip: noOpenssl }, async (t) => {
  const x = await stand(t)
  const authority = await open(x)
  await turn(x, x.clock.now() + DAY)
  await authority.reload()
  const [old, next] = authority.trusted.map(String) as [string, string]
  const stages = [await certificateFrom(authority.leafFor(HOST))]
  x.clock.advance(DAY)
  stages.push(await certificateFrom(authority.leafFor(HOST)))
  const verdicts = stages.map((leaf) =>
    [old, next, old + next, next + old].map((trusted) => {
      const [ca, shown] = [join(t.testdirName, 'ca.pem'), join(t.testdirName, 'leaf.pem')]
      writeFileSync(ca, trusted)
      writeFileSync(shown, leaf.toString())
      const args = ['verify', '-x509_strict', '-no-CApath', '-CAfile', ca, '-verify_hostname', HOST]
      const at = ['-attime', String(Math.floor(leaf.validFromDate.getTime() / 1000) + 7200)]
      return spawnSync('openssl', [...args, ...at, shown], { encoding: 'utf8' }).status === 0
    }),
  )
  t.same(verdicts, [
    [true, false, true, true],
    [false, true, true, true],
  ])
})

t.test('the next CA has another name and the same bounds', async (t) => {
  const x = await stand(t)
  await open(x)
  await turn(x)
  const [first, second] = (await open(x)).trusted as [X509Certificate, X509Certificate]
  t.equal(second.subject, `${first.subject} (2)`)
  t.ok(second.ca && second.verify(second.publicKey))
  t.match(second.toLegacyObject(), { ca: true })
  await turn(x, 0)
  await turn(x)
  const third = (await open(x)).trusted[1] as X509Certificate
  t.equal(third.subject, `${first.subject} (3)`)
})

t.test('a second rotation changes nothing, unless it names another time', async (t) => {
  const x = await stand(t)
  await open(x)
  const from = x.clock.now() + 2 * DAY
  t.equal(await turn(x, from), true)
  const before = await describeAuthority(x.store, x.clock)
  t.equal(await turn(x, from), false)
  t.equal(await turn(x), false)
  t.same(await describeAuthority(x.store, x.clock), before)
  t.equal(await turn(x, from + DAY), true)
  t.match(await describeAuthority(x.store, x.clock), [before[0], { ...before[1], signsFrom: from + DAY }])
  t.equal((await open(x)).trusted.length, 2, 'and its key still opens')
})

t.test('now means now: the one that waits signs, or a new one where none does', async (t) => {
  const x = await stand(t)
  const authority = await open(x)
  const [old] = await describeAuthority(x.store, x.clock)
  await turn(x)
  const [, waiting] = await describeAuthority(x.store, x.clock)
  await turn(x, x.clock.now())
  await authority.reload()
  t.match(await describeAuthority(x.store, x.clock), [{ role: 'signs', fingerprint: waiting?.fingerprint }])
  t.equal(
    (await certificateFrom(authority.leafFor(HOST))).checkIssued(authority.trusted[0] as X509Certificate),
    true,
  )
  await turn(x, x.clock.now())
  const [third, ...none] = await describeAuthority(x.store, x.clock)
  t.same(none, [])
  t.not(third?.fingerprint, waiting?.fingerprint)
  t.not(third?.fingerprint, old?.fingerprint)
})

t.test('once it is replaced, the old key is in the store no more', async (t) => {
  const x = await stand(t)
  await open(x)
  const old = await x.store.vaultItem(SYSTEM, 'ca')
  await turn(x)
  x.clock.advance(OVERLAP)
  await open(x)
  t.equal(await x.store.vaultItem(SYSTEM, 'ca-next'), undefined)
  const now = await x.store.vaultItem(SYSTEM, 'ca')
  t.match(now, { version: 2 })
  t.not(now?.open.certificate, old?.open.certificate)
})

t.test('whoever asks at once, one next CA is made and it takes over once', async (t) => {
  const x = await stand(t)
  await open(x)
  const at = x.clock.now() + DAY
  const asked = Array.from({ length: 4 }, () =>
    x.store.transact(LOCAL, (store) => rotate(store, x.sealer, x.clock, at)),
  )
  t.same((await Promise.all(asked)).filter(Boolean).length, 1)
  x.clock.advance(DAY)
  const opened = await Promise.all([open(x), open(x), open(x)])
  t.equal(new Set(opened.map(({ trustedPem }) => trustedPem)).size, 1)
  t.match(await x.store.vaultItem(SYSTEM, 'ca'), { version: 2 })
})

t.test('a rotation that fails half-way has not happened', async (t) => {
  const x = await stand(t)
  const authority = await open(x)
  await turn(x)
  const before = await describeAuthority(x.store, x.clock)
  const breaking = (store: Store): Store => ({
    ...store,
    removeVaultItem: () => Promise.reject(new LocumError('store_unavailable', 'gone')),
    transact: (as, work) => store.transact(as, (inside) => work(breaking(inside))),
  })
  await t.rejects(rotate(breaking(x.store), x.sealer, x.clock, 0), { code: 'store_unavailable' })
  await authority.reload()
  t.equal(authority.trusted.length, 2)
  t.match(
    (await describeAuthority(x.store, x.clock)).map(({ fingerprint }) => fingerprint),
    before.map(({ fingerprint }) => fingerprint),
  )
  t.equal(
    (await certificateFrom(authority.leafFor(HOST))).checkIssued(authority.trusted[0] as X509Certificate),
    true,
  )
})

t.test('the next one takes over before the CA ends, or is refused', async (t) => {
  const x = await stand(t)
  await open(x)
  await t.rejects(turn(x, x.clock.now() + 11 * YEAR), { code: 'bad_request', hint: /It ends on 20/ })
  x.clock.advance(11 * YEAR)
  t.equal(await turn(x, x.clock.now()), true, 'one that has ended is replaced at once')
  t.ok((await open(x)).leafFor(HOST))
})

t.test('a next CA that somebody else put into the store never signs', async (t) => {
  const x = await stand(t)
  const authority = await open(x)
  await turn(x)
  const item = await x.store.vaultItem(SYSTEM, 'ca-next')
  if (!item) throw new Error('none waits')
  const own = authority.certificatePem
  for (const [why, changed] of Object.entries({
    "the signing CA's certificate with another key": {
      ...item,
      open: { ...item.open, certificate: `${own}\n` },
    },
    'no time': { ...item, open: { ...item.open, signsFrom: 'soon' } },
    'another version': { ...item, version: 7 },
  })) {
    const store = {
      ...x.store,
      vaultItem: async (as: typeof SYSTEM, name: string) =>
        name === 'ca-next' ? changed : x.store.vaultItem(as, name),
    }
    await t.rejects(openAuthority(store, x.sealer, x.clock), { code: 'internal' }, why)
  }
})

t.test('a store that does not answer is asked again, and what was there serves on', async (t) => {
  let asked = 0
  const told: unknown[] = []
  const answered = Promise.withResolvers<void>()
  const authority = {
    async reload() {
      asked++
      if (asked === 1) throw new LocumError('store_unavailable', 'gone')
      answered.resolve()
    },
  }
  const following = followAuthority(authority, (error) => told.push(error), 1)
  const awake = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(awake))
  following.take([{ seq: 1, kind: 'site', id: 'vault:audit-signing' }])
  t.equal(asked, 0, 'other things of the site are nothing to it')
  following.take([{ seq: 2, kind: 'site', id: 'vault:ca-next' }])
  await answered.promise
  t.same([asked, told], [2, []])
  await following.close()
  following.take([{ seq: 3, kind: 'site', id: '*' }])
  t.equal(asked, 2, 'a closed one asks no more')
})

t.test('a running server follows within a second, and gives both meanwhile', async (t) => {
  const site = await startSite(t, { connections: [] })
  const { store, sealer, clock } = site.context
  const caPem = async () => (await fetch(`${site.consoleUrl}/ca.pem`)).text()
  const [before] = [await caPem()]
  await rotate(store, sealer, clock, undefined)
  await site.settle()
  const until = async (holds: (pem: string) => boolean) => {
    const end = performance.now() + 1000
    for (;;) {
      const pem = await caPem()
      if (holds(pem)) return pem
      if (performance.now() > end) throw new Error('it did not follow within a second')
    }
  }
  const both = await until((pem) => pem !== before)
  t.ok(both.startsWith(before))
  await rotate(store, sealer, clock, clock.now())
  await site.settle()
  t.equal(await until((pem) => pem !== both), both.slice(before.length))
  t.same(await site.verify(), [])
})

t.test('an export has all that clients should trust, or says that it cannot', async (t) => {
  const x = await stand(t)
  const authority = await open(x)
  await t.rejects(exportAuthority(authority, 'pem', { which: 'next' }), {
    code: 'bad_request',
    hint: /ca rotate/,
  })
  await turn(x)
  await authority.reload()
  const [current, next] = authority.trusted as [X509Certificate, X509Certificate]
  const as = (format: 'pem' | 'der', which?: 'current' | 'next') =>
    exportAuthority(authority, format, { which })
  t.equal(String(await as('pem')), `${current}${next}`)
  t.equal(String(await as('pem', 'next')), String(next))
  await t.rejects(as('der'), { code: 'bad_request', hint: /--which/ })
  t.same(new X509Certificate(await as('der', 'current')).raw, current.raw)
  t.same(new X509Certificate(await as('der', 'next')).raw, next.raw)
})
