import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { tlsEnd, tlsFaults } from '../../core/listener-tls.ts'
import { issue, makeCa, selfSigned } from '../kit/certificates.ts'

const ca = await makeCa('Root')
const middle = await makeCa('Middle', ca)
const leaf = await issue(middle, ['locum.example'])
const other = await issue(ca, ['other.example'])

t.test(
  'a certificate with its chain and its key has no fault, nor have CAs with all who issued them',
  async (t) => {
    t.same(tlsFaults(leaf), [])
    t.same(tlsFaults({ cert: `${leaf.cert}\n${middle.cert}`, key: leaf.key }), [])
    t.same(tlsFaults({ cert: `about it\n${leaf.cert} \r\n`, key: leaf.key }), [])
    for (const clientCa of [ca.cert, `${ca.cert}\n${middle.cert}`, `${middle.cert}\n${ca.cert}`])
      t.same(tlsFaults({ ...leaf, clientCa }), [])
  },
)

t.test('what is no list of certificates is said of the file in which it stands', async (t) => {
  const says = 'is not a list of certificates in PEM, each on lines of its own'
  for (const cert of [
    '',
    'no certificate',
    leaf.key,
    `${leaf.cert.trim()}${middle.cert}`,
    `x${leaf.cert}`,
    leaf.cert.replace(/-----END CERTIFICATE-----/, ''),
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  ])
    t.same(tlsFaults({ cert, key: leaf.key }), [{ file: 'cert', says }])
})

t.test('a key has to be there, in the clear, and that of the first certificate', async (t) => {
  const fault = (key: string, cert = leaf.cert) => tlsFaults({ cert, key })
  t.same(fault(other.key), [{ file: 'key', says: 'is not the key of the first certificate' }])
  t.same(fault(leaf.key, `${middle.cert}\n${leaf.cert}`), [
    { file: 'key', says: 'is not the key of the first certificate' },
  ])
  t.same(fault(leaf.cert), [{ file: 'key', says: 'holds no private key in PEM' }])
  t.same(fault('-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n'), [
    { file: 'key', says: 'is encrypted; Locum takes no passphrase' },
  ])
  t.match(fault('', ''), [{ file: 'cert' }, { file: 'key' }], 'each is named')
})

t.test('whose CAs are no CAs, or lack the one that issued them, trusts nobody', async (t) => {
  const fault = (clientCa: string) => tlsFaults({ ...leaf, clientCa })
  const none = [
    { file: 'clientCa', says: 'is not a list of CA certificates in PEM, each on lines of its own' },
  ]
  const alone = await selfSigned(['ada'])
  for (const clientCa of ['', leaf.cert, alone.cert, `${ca.cert}\n${leaf.cert}`])
    t.same(fault(clientCa), none)
  const stranger = await makeCa('Stranger')
  for (const clientCa of [middle.cert, `${middle.cert}\n${stranger.cert}`])
    t.same(fault(clientCa), [
      { file: 'clientCa', says: 'holds an intermediate CA without the CA that issued it' },
    ])
})

t.test('the end of a listener’s certificate is that of the first', async (t) => {
  const brief = await issue(ca, ['brief.example'], { notAfter: new Date(Date.UTC(2035, 0, 2, 3, 4, 5)) })
  t.equal(tlsEnd(`${brief.cert}\n${ca.cert}`), Date.UTC(2035, 0, 2, 3, 4, 5))
  t.equal(tlsEnd(leaf.cert), Date.parse(new X509Certificate(leaf.cert).validTo))
})
