import { createPublicKey, sign, verify, X509Certificate } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import t, { type Test } from 'tap'
import { keySet, openSigningKeys, publicKeyPem, signingKeeper } from '../../certs/signing.ts'
import { SYSTEM } from '../../core/words.ts'
import { makeFolder, openSite } from '../store/site.ts'

async function open(t: Test, data = makeFolder(t)) {
  const clock = { time: Date.parse('2026-01-01T00:00:00Z'), now: () => clock.time }
  const { store, sealer } = await openSite(t, data, { clock })
  return {
    data,
    clock,
    store,
    sealer,
    keeper: signingKeeper(sealer, clock),
    keys: openSigningKeys(store, sealer, clock),
  }
}

t.test('there is a default one, made once however many ask', async (t) => {
  const one = await open(t)
  const two = await open(t, one.data)
  const keys = await Promise.all([one, two, one, two].map(({ keys }) => keys.key(undefined)))
  t.equal(new Set(keys.map(({ kid }) => kid)).size, 1)
  t.match(await one.keeper.list(one.store), [
    { name: 'default', kind: 'rsa-2048', role: 'signs', kid: keys[0]?.kid },
  ])
})

t.test('a certificate is over its key, for signatures alone, and its kid is the thumbprint', async (t) => {
  const { store, keeper, keys } = await open(t)
  for (const kind of ['rsa-2048', 'ec-p256', 'ec-p384', 'ec-p521', 'ed25519']) {
    await keeper.make(store, kind, kind)
    const { privateKey, kid } = await keys.key(kind)
    const found = (await keeper.list(store)).find(({ name }) => name === kind)
    const certificate = new X509Certificate(found?.pem ?? '')
    t.ok(certificate.checkPrivateKey(privateKey), kind)
    t.ok(certificate.verify(certificate.publicKey), kind)
    t.equal(certificate.ca, false, kind)
    t.equal(certificate.subject, `CN=Locum signing ${kind}`)
    t.equal(kid, await calculateJwkThumbprint(certificate.publicKey.export({ format: 'jwk' }) as never), kind)
    t.equal(found?.fingerprint, certificate.fingerprint256)
    const bare = createPublicKey(publicKeyPem(found?.pem ?? ''))
    const signature = sign(kind === 'ed25519' ? null : 'sha256', Buffer.from('x'), privateKey)
    t.ok(verify(kind === 'ed25519' ? null : 'sha256', Buffer.from('x'), bare, signature), kind)
    const [jwk] = JSON.parse(keySet([found as never])).keys
    t.match(jwk, { kid, use: 'sig' })
    for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi']) t.notOk(secret in jwk, secret)
  }
})

t.test('the next key waits for its date, moves, and takes over at once', async (t) => {
  const { clock, store, keeper, keys } = await open(t)
  await keeper.make(store, 'a', 'ec-p256')
  const first = await keys.key('a')
  t.equal(await keeper.rotate(store, 'a', undefined), true)
  t.equal(await keeper.rotate(store, 'a', undefined), false, 'one waits already')
  const names = async () => (await keeper.list(store)).filter(({ name }) => name === 'a')
  const [, next] = await names()
  t.equal(next?.signsFrom, clock.time + 7 * 86_400_000)
  t.equal((await keys.key('a')).kid, first.kid)
  t.equal(await keeper.rotate(store, 'a', clock.time + 1_000), true, 'its date is moved')
  t.equal((await keys.key('a')).kid, first.kid)
  clock.time += 1_000
  t.equal((await keys.key('a')).kid, next?.kid, 'it signs from its date on, before anybody has written that')
  t.match(await names(), [{ role: 'signs', kid: next?.kid }])
  t.equal(await keeper.rotate(store, 'a', clock.time), true)
  t.equal((await names()).length, 1)
  t.notMatch([first.kid, next?.kid], (await keys.key('a')).kid)
})

t.test('what is not there, is there already, or is no kind of key is said', async (t) => {
  const { store, keeper, keys } = await open(t)
  await t.rejects(keys.key('a'), { code: 'refresh_failed', hint: /locum cert new a/ })
  await t.rejects(keeper.rotate(store, 'a', undefined), { code: 'bad_request' })
  await t.rejects(keeper.make(store, 'a', 'dsa'), { code: 'bad_request', hint: /rsa-2048/ })
  await keeper.make(store, 'a')
  await t.rejects(keeper.make(store, 'a'), { code: 'bad_request', hint: /locum cert rotate a/ })
})

t.test('a key that was sealed for another place is not used', async (t) => {
  const { store, keeper, keys } = await open(t)
  await keeper.make(store, 'a', 'ec-p256')
  await keeper.make(store, 'b', 'ec-p256')
  const a = await store.vaultItem(SYSTEM, 'signing:a')
  const b = await store.vaultItem(SYSTEM, 'signing:b')
  await store.replaceVaultItem(SYSTEM, 'signing:b', 1, {
    sealed: (a as { sealed: Uint8Array }).sealed,
    open: (b as never as { open: Record<string, string> }).open,
  })
  await t.rejects(keys.key('b'), { code: 'internal' })
})
