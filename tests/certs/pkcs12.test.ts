import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import t from 'tap'
import { openAuthority } from '../../certs/authority.ts'
import { exportAuthority } from '../../certs/export.ts'
import { truststore } from '../../certs/pkcs12.ts'
import { rotate } from '../../certs/rotation.ts'
import { absent } from '../clients/running.ts'
import { movableClock, newSite } from './kit.ts'

const noOpenssl = absent('openssl', ['version'], 'openssl') ?? false
const noKeytool = absent('keytool', ['-help'], 'keytool, of a JDK,') ?? false

async function bothCas(t: Parameters<typeof newSite>[0]) {
  const [store, sealer] = await newSite(t)
  const clock = movableClock()
  await openAuthority(store, sealer, clock)
  await rotate(store, sealer, clock, undefined)
  return openAuthority(store, sealer, clock)
}

t.test('openssl finds every certificate in it, and no key', { skip: noOpenssl }, async (t) => {
  const authority = await bothCas(t)
  const file = join(t.testdir(), 'ca.p12')
  writeFileSync(file, await exportAuthority(authority, 'p12', { password: 'a b"c$d' }))
  const read = (password: string) =>
    spawnSync('openssl', ['pkcs12', '-in', file, '-passin', `pass:${password}`, '-nodes'], {
      encoding: 'utf8',
    })
  const { status, stdout, stderr } = read('a b"c$d')
  t.equal(status, 0, stderr)
  const found = stdout.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? []
  t.same(
    found.map((pem) => new X509Certificate(pem).fingerprint256),
    authority.trusted.map(({ fingerprint256 }) => fingerprint256),
  )
  t.notMatch(stdout, /PRIVATE/)
  t.match(stdout, /friendlyName: locum-1-[0-9a-f]{8}\n/)
  t.not(read('changeit').status, 0, 'another password does not open it')
})

t.test('Java takes every entry for a trust anchor', { skip: noKeytool }, async (t) => {
  const authority = await bothCas(t)
  const file = join(t.testdir(), 'ca.p12')
  writeFileSync(file, await exportAuthority(authority, 'p12'))
  const { status, stdout } = spawnSync('keytool', ['-list', '-keystore', file, '-storepass', 'changeit'], {
    encoding: 'utf8',
  })
  t.equal(status, 0, stdout)
  t.equal(stdout.match(/^locum-\d-[0-9a-f]{8}, .*, trustedCertEntry,/gm)?.length, 2, stdout)
  for (const { fingerprint256 } of authority.trusted) t.match(stdout, fingerprint256)
})

t.test('it takes as many as there are public roots, of every kind of key', { skip: noOpenssl }, async (t) => {
  const roots = rootCertificates.map((pem) => new X509Certificate(pem))
  const file = join(t.testdir(), 'roots.p12')
  writeFileSync(file, await truststore(roots, 'changeit'))
  const args = ['pkcs12', '-in', file, '-passin', 'pass:changeit', '-nokeys']
  const { stdout } = spawnSync('openssl', args, { encoding: 'utf8', maxBuffer: 1e8 })
  t.equal(stdout.match(/BEGIN CERTIFICATE/g)?.length, roots.length)
})
