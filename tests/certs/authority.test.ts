import { spawnSync } from 'node:child_process'
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  webcrypto,
  X509Certificate,
} from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, DEFAULT_CIPHERS } from 'node:tls'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import fc from 'fast-check'
import t from 'tap'
import { openAuthority } from '../../certs/authority.ts'
import { elements } from '../../certs/der.ts'
import { exportAuthority } from '../../certs/export.ts'
import { leafWriter } from '../../certs/leaf.ts'
import { LocumError } from '../../core/errors.ts'
import { SYSTEM } from '../../core/words.ts'
import { absent } from '../clients/running.ts'
import { certificateFrom, handshake, movableClock, newSite } from './kit.ts'

const P256 = { name: 'ECDSA', namedCurve: 'P-256' }
const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR

const placeOfKey = {
  table: 'certificates',
  row: 'ca',
  field: 'privateKey',
  version: 1,
  owner: 'site',
  audience: [],
}

t.test('a client that trusts the CA accepts a leaf for its own name and for no other', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const ca = authority.certificatePem
  const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.example`
  for (const host of [
    'api.example.com',
    'api_1.example.com',
    'localhost',
    long,
    '127.0.0.1',
    '[2001:db8::1]',
    '[::]',
  ]) {
    const context = authority.leafFor(host)
    t.equal((await handshake(context, host, ca)).error, undefined, `accepted as ${host}`)
    for (const other of [
      'www.example.com',
      'example.com',
      'x.api.example.com',
      '127.0.0.2',
      '[2001:db8::2]',
    ]) {
      t.equal(
        (await handshake(context, other, ca)).error,
        'ERR_TLS_CERT_ALTNAME_INVALID',
        `${host} as ${other}`,
      )
    }
  }
})

t.test('a client that does not trust the CA refuses its leaves', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const stranger = await openAuthority(...(await newSite(t, join(t.testdirName, 'other'))), movableClock())
  const context = authority.leafFor('api.example.com')
  const answer = await handshake(context, 'api.example.com', stranger.certificatePem)
  t.match(answer.error, /^(UNABLE_TO_|CERT_SIGNATURE_FAILURE|SELF_SIGNED)/)
})

t.test('TLS 1.2 and 1.3 are spoken, 1.1 is refused, sessions are resumed', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const context = authority.leafFor('api.example.com')
  const as = (version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3', session?: Buffer) =>
    handshake(context, 'api.example.com', authority.certificatePem, { version, session })
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const first = await as(version)
    t.match(first, { error: undefined, resumed: false })
    t.match(await as(version, first.session), { error: undefined, resumed: true }, version)
  }
  t.match((await as('TLSv1.1')).error, /ALERT_PROTOCOL_VERSION|NO_PROTOCOLS|UNSUPPORTED_PROTOCOL/)
})

t.test('the cipher is the one that costs least, whatever the order of a client that has it', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const context = authority.leafFor('api.example.com')
  const chosen = async (ciphers: string, version: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3') => {
    const options = { version, ciphers }
    const { error, cipher } = await handshake(context, 'api.example.com', authority.certificatePem, options)
    t.equal(error, undefined, ciphers)
    return cipher
  }
  const [small, large, chacha] = [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
  ] as const
  t.equal(await chosen(`${large}:${chacha}:${small}`), small)
  t.equal(await chosen(large), large, 'a client that has no other')
  t.equal(await chosen(`${chacha}:${small}:${large}`), chacha, 'a client without AES in its processor')
  t.match(await chosen(DEFAULT_CIPHERS, 'TLSv1.2'), /^TLS_ECDHE_ECDSA_WITH_AES_\d+_GCM_SHA\d+$/, 'in TLS 1.2')
})

t.test('a leaf has one name, lives 7 days at most and can only serve', async (t) => {
  const clock = movableClock()
  const authority = await openAuthority(...(await newSite(t)), clock)
  const leaf = new x509.X509Certificate((await certificateFrom(authority.leafFor('api.example.com'))).raw)
  t.same(leaf.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON(), [
    { type: 'dns', value: 'api.example.com' },
  ])
  t.match(leaf.getExtension(x509.BasicConstraintsExtension), { ca: false, critical: true })
  t.match(leaf.getExtension(x509.KeyUsagesExtension), {
    usages: x509.KeyUsageFlags.digitalSignature,
    critical: true,
  })
  t.same(leaf.getExtension(x509.ExtendedKeyUsageExtension)?.usages, [x509.ExtendedKeyUsage.serverAuth])
  const ca = new x509.X509Certificate(authority.certificateDer)
  t.equal(leaf.issuer, ca.subject)
  t.equal(
    leaf.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId,
    ca.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId,
  )
  t.ok(leaf.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId)
  t.match(leaf.publicKey.algorithm, { name: 'ECDSA', namedCurve: 'P-256' })
  t.ok(leaf.notAfter.getTime() - leaf.notBefore.getTime() <= 7 * DAY, 'lives 7 days at most')
  t.ok(leaf.notBefore.getTime() <= clock.now() - HOUR, 'is valid for a clock that is an hour behind')
})

t.test('a name too long for a subject stands in the alternative name alone, critical', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const host = `${'a'.repeat(60)}.example`
  const leaf = new x509.X509Certificate((await certificateFrom(authority.leafFor(host))).raw)
  t.equal(leaf.subject, '')
  t.match(leaf.getExtension(x509.SubjectAlternativeNameExtension), { critical: true })
})

t.test('serial numbers are positive and do not repeat', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const serials = new Set<string>()
  for (let i = 0; i < 40; i++) {
    const leaf = await certificateFrom(authority.leafFor(`h${i}.example`))
    const body = elements(elements(leaf.raw)[0]?.content ?? Buffer.alloc(0))[0]?.content ?? Buffer.alloc(0)
    const serial = elements(body)[1]
    t.ok(serial?.tag === 2 && (serial.content[0] as number) < 0x80, 'the sign bit is clear')
    serials.add(leaf.serialNumber)
  }
  t.equal(serials.size, 40)
})

t.test('a certificate that a leaf has signed is refused', async (t) => {
  const clock = movableClock()
  const authority = await openAuthority(...(await newSite(t)), clock)
  const ca = new X509Certificate(authority.certificateDer)
  const key = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const [caKey, leafKey, forgedKey] = [key(), key(), key()]
  const pem = (der: Buffer) => new X509Certificate(der).toString()
  const times = [clock.now() - HOUR, clock.now() + DAY] as const
  // The same chain under a root of the test's own, whose key it knows: once sound, once a link too long.
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: ca.subject,
    keys: {
      privateKey: await webcrypto.subtle.importKey(
        'pkcs8',
        caKey.export({ type: 'pkcs8', format: 'der' }),
        P256,
        true,
        ['sign'],
      ),
      publicKey: await webcrypto.subtle.importKey(
        'spki',
        createPublicKey(caKey).export({ type: 'spki', format: 'der' }),
        P256,
        true,
        ['verify'],
      ),
    },
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  })
  const leaf = leafWriter(Buffer.from(root.rawData), caKey, leafKey)('api.example.com', ...times)
  const forged = leafWriter(leaf, leafKey, forgedKey)('bank.example.com', ...times)
  const context = (chain: Buffer[], key: KeyObject) =>
    createSecureContext({ cert: chain.map(pem).join(''), key: key.export({ type: 'pkcs8', format: 'pem' }) })
  const trusted = root.toString('pem')
  t.equal((await handshake(context([leaf], leafKey), 'api.example.com', trusted)).error, undefined)
  const forgery = await handshake(context([forged, leaf], forgedKey), 'bank.example.com', trusted)
  t.match(forgery.reason, /does not include certificate signing|invalid CA/)
})

t.test('the CA is P-256, signs certificates and no further CA, and lives ten years', async (t) => {
  const clock = movableClock()
  const [store, sealer] = await newSite(t)
  const authority = await openAuthority(store, sealer, clock)
  const ca = new x509.X509Certificate(authority.certificateDer)
  t.equal(ca.subject, `CN=Locum CA ${(await store.site()).id.slice(0, 8)}`)
  t.match(ca.getExtension(x509.BasicConstraintsExtension), { ca: true, pathLength: 0, critical: true })
  t.match(ca.getExtension(x509.KeyUsagesExtension), {
    usages: x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
    critical: true,
  })
  t.match(ca.publicKey.algorithm, { name: 'ECDSA', namedCurve: 'P-256' })
  t.equal(ca.notAfter.getUTCFullYear() - ca.notBefore.getUTCFullYear(), 10)
  t.ok(await ca.isSelfSigned())
})

const noOpenssl = absent('openssl', ['version'], 'openssl') ?? false
t.test('openssl accepts a leaf under its strict rules', { skip: noOpenssl }, async (t) => {
  const folder = t.testdir()
  const authority = await openAuthority(...(await newSite(t, join(folder, 'data'))), movableClock())
  const caFile = join(folder, 'ca.pem')
  writeFileSync(caFile, authority.certificatePem)
  for (const host of ['api.example.com', '192.0.2.7', '[2001:db8::1]', `${'a'.repeat(60)}.example`]) {
    const file = join(folder, 'leaf.pem')
    writeFileSync(file, (await certificateFrom(authority.leafFor(host))).toString())
    const name = /^[[\d]/.test(host) ? ['-verify_ip', host.replace(/[[\]]/g, '')] : ['-verify_hostname', host]
    const verify = (...more: string[]) =>
      spawnSync('openssl', [
        'verify',
        '-x509_strict',
        '-purpose',
        'sslserver',
        '-CAfile',
        caFile,
        ...more,
        file,
      ])
    t.equal(verify(...name).status, 0, host)
    t.not(verify('-verify_hostname', 'other.example').status, 0, `${host} is not other.example`)
  }
})

t.test('a leaf is kept, and renewed before it ends', async (t) => {
  const clock = movableClock()
  const authority = await openAuthority(...(await newSite(t)), clock)
  const first = authority.leafFor('api.example.com')
  const end = (await certificateFrom(first)).validToDate.getTime()
  clock.advance(4 * DAY)
  t.equal(authority.leafFor('api.example.com'), first, 'after four days it is the same')
  clock.advance(end - clock.now() - 12 * HOUR)
  const next = authority.leafFor('api.example.com')
  t.not(next, first, 'half a day before its end there is another')
  t.ok((await certificateFrom(next)).validToDate.getTime() > end + DAY)
})

t.test('a clock that is set back gives a leaf that is valid then', async (t) => {
  const clock = movableClock()
  const authority = await openAuthority(...(await newSite(t)), clock)
  authority.leafFor('api.example.com')
  clock.advance(-DAY)
  const leaf = await certificateFrom(authority.leafFor('api.example.com'))
  t.ok(leaf.validFromDate.getTime() <= clock.now())
})

t.test('a leaf never outlives the CA, and none is minted after its end', async (t) => {
  const clock = movableClock()
  const authority = await openAuthority(...(await newSite(t)), clock)
  const end = new X509Certificate(authority.certificatePem).validToDate.getTime()
  clock.advance(end - clock.now() - DAY)
  const context = authority.leafFor('api.example.com')
  t.equal((await certificateFrom(context)).validToDate.getTime(), end)
  t.equal(authority.leafFor('api.example.com'), context, 'and is kept all the same')
  clock.advance(DAY)
  t.throws(() => authority.leafFor('api.example.com'), { code: 'internal', detail: /expired/ })
})

t.test('a host that is not in canonical form is refused and never fails otherwise', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const refused = (host: string) =>
    t.throws(() => authority.leafFor(host), { code: 'bad_request' }, JSON.stringify(host))
  for (const host of [
    '',
    '.',
    'API.example.com',
    'api.example.com.',
    'api..example.com',
    '*.example.com',
    '-a.example',
    'a b',
    'a\0.example',
    'a\r\nb',
    'bücher.example',
    'xn--127.0.0.1',
    '0x7f.1',
    '2130706433',
    '::1',
    '[::1',
    '[0:0::1]',
    '[fe80::1%25eth0]',
    'a:443',
    '__proto__\u{d800}',
    'a'.repeat(64),
    `${'a.'.repeat(126)}aa`,
  ]) {
    refused(host)
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (host) => {
      try {
        return authority.leafFor(host) !== undefined
      } catch (thrown) {
        return thrown instanceof LocumError && thrown.code === 'bad_request'
      }
    }),
    { numRuns: 300 },
  )
})

t.test('at most a thousand leaves are kept, those that were asked for last', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const wanted = authority.leafFor('wanted.example')
  const unwanted = authority.leafFor('unwanted.example')
  for (let i = 0; i < 999; i++) {
    authority.leafFor(`h${i}.example`)
    if (i % 100 === 0) authority.leafFor('wanted.example')
  }
  t.equal(authority.leafFor('wanted.example'), wanted)
  t.not(authority.leafFor('unwanted.example'), unwanted)
})

t.test('a closed authority has forgotten its leaves', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const before = authority.leafFor('api.example.com')
  authority.close()
  t.not(authority.leafFor('api.example.com'), before)
})

t.test('the CA is made once, also by two that start together', async (t) => {
  const [store, sealer] = await newSite(t)
  const clock = movableClock()
  const both = await Promise.all([openAuthority(store, sealer, clock), openAuthority(store, sealer, clock)])
  const later = await openAuthority(store, sealer, clock)
  t.equal(both[0].certificatePem, both[1].certificatePem)
  t.equal(later.certificatePem, both[0].certificatePem)
  for (const authority of [...both, later]) {
    const answer = await handshake(
      authority.leafFor('api.example.com'),
      'api.example.com',
      later.certificatePem,
    )
    t.equal(answer.error, undefined)
  }
})

t.test('a certificate or key that was exchanged in the store is refused', async (t) => {
  const clock = movableClock()
  const [store, sealer] = await newSite(t)
  await openAuthority(store, sealer, clock)
  const item = await store.vaultItem(SYSTEM, 'ca')
  if (!item) throw new Error('the vault has no CA')

  const other = await openAuthority(...(await newSite(t, join(t.testdirName, 'other'))), clock)
  // Certificates for the CA's own key: one that makes it no CA, and one that somebody else has signed.
  const der = Uint8Array.from(sealer.open(placeOfKey, item.sealed))
  const ownKey = await webcrypto.subtle.importKey('pkcs8', der, P256, true, ['sign'])
  const ownPublic = await new x509.X509Certificate(item.open.certificate ?? '').publicKey.export()
  const strange = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])
  const name = 'CN=changed'
  const ca = [new x509.BasicConstraintsExtension(true, 0, true)]
  const own = { privateKey: ownKey, publicKey: ownPublic }
  const plain = await x509.X509CertificateGenerator.createSelfSigned({ name, keys: own })
  const foreign = await x509.X509CertificateGenerator.create({
    subject: name,
    issuer: name,
    publicKey: ownPublic,
    signingKey: strange.privateKey,
    extensions: ca,
  })
  const sound = await x509.X509CertificateGenerator.createSelfSigned({ name, keys: own, extensions: ca })
  const withCertificate = (certificate: string) =>
    openAuthority({ ...store, vaultItem: async () => ({ ...item, open: { certificate } }) }, sealer, clock)
  t.ok(await withCertificate(sound.toString('pem')), 'one that its own key has signed would do')
  for (const [why, certificate] of Object.entries({
    "another CA's certificate": other.certificatePem,
    'a certificate that is no CA': plain.toString('pem'),
    'a certificate that another key has signed': foreign.toString('pem'),
    'no certificate': '',
    'a text that is none': randomUUID(),
  })) {
    await t.rejects(withCertificate(certificate), { code: 'internal' }, why)
  }
  const bytes = Uint8Array.from(item.sealed)
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1
  const changed = { ...store, vaultItem: async () => ({ ...item, sealed: bytes }) }
  await t.rejects(
    openAuthority(changed, sealer, clock),
    { code: 'internal' },
    'a sealed key with one bit changed',
  )
})

t.test('the private key lies nowhere in the data folder in a form that can be read', async (t) => {
  const data = t.testdir()
  const [store, sealer] = await newSite(t, data)
  const authority = await openAuthority(store, sealer, movableClock())
  authority.leafFor('api.example.com')
  const item = await store.vaultItem(SYSTEM, 'ca')
  if (!item) throw new Error('the vault has no CA')
  const der = sealer.open(placeOfKey, item.sealed)
  const { d = '' } = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' })
  const number = Buffer.from(d, 'base64url')
  const forms = [number, d, number.toString('hex'), der.toString('base64').slice(0, -2), 'PRIVATE KEY']
  const files = readdirSync(data, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile())
  const bytes = Buffer.concat(files.map((file) => readFileSync(join(file.parentPath, file.name))))
  t.ok(bytes.includes('BEGIN CERTIFICATE'), 'the certificate is in what was read')
  for (const form of forms) t.notOk(bytes.includes(form))
  t.throws(
    () => sealer.open({ ...placeOfKey, row: 'other' }, item.sealed),
    { code: 'internal' },
    'it opens at its place alone',
  )
})

t.test('a later start does not load the library that made the CA', async (t) => {
  const data = t.testdir()
  await openAuthority(...(await newSite(t, data)), movableClock())
  const script = `
    import { openAuthority } from './certs/authority.ts'
    import { systemClock } from './core/clock.ts'
    import { openStore } from './store/open.ts'
    const { store, sealer, close } = await openStore({ data: process.argv[1] })
    const authority = await openAuthority(store, sealer, systemClock)
    process.stdout.write(authority.leafFor('api.example.com') && 'getMetadata' in Reflect ? 'loaded' : 'not loaded')
    await close()`
  const cwd = join(import.meta.dirname, '../..')
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script, data], {
    cwd,
    encoding: 'utf8',
  })
  t.equal(run.stdout, 'not loaded', run.stderr)
})

t.test('exports the certificate as PEM and DER, and never the key', async (t) => {
  const authority = await openAuthority(...(await newSite(t)), movableClock())
  const pem = (await exportAuthority(authority, 'pem')).toString()
  t.match(pem, /^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n$/)
  t.notMatch(pem, /PRIVATE/)
  t.same(new X509Certificate(await exportAuthority(authority, 'der')).raw, new X509Certificate(pem).raw)
})
