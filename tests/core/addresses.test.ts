import t from 'tap'
import { comparableAddress, judgeAddress, mayDial } from '../../core/addresses.ts'
import { canonicalHost, isAddress } from '../../core/destination.ts'
import { vectors } from '../kit/vectors.ts'

t.test('judges an IPv4 address by its range, at both ends', async (t) => {
  const cases: [string, string][] = [
    ['0.0.0.0', 'unspecified'],
    ['0.255.255.255', 'unspecified'],
    ['1.0.0.0', 'public'],
    ['9.255.255.255', 'public'],
    ['10.0.0.0', 'private'],
    ['10.255.255.255', 'private'],
    ['11.0.0.0', 'public'],
    ['100.63.255.255', 'public'],
    ['100.64.0.0', 'cgnat'],
    ['100.127.255.255', 'cgnat'],
    ['100.128.0.0', 'public'],
    ['126.255.255.255', 'public'],
    ['127.0.0.0', 'loopback'],
    ['127.255.255.255', 'loopback'],
    ['128.0.0.0', 'public'],
    ['169.253.255.255', 'public'],
    ['169.254.0.0', 'link-local'],
    ['169.254.255.255', 'link-local'],
    ['169.255.0.0', 'public'],
    ['172.15.255.255', 'public'],
    ['172.16.0.0', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', 'public'],
    ['191.255.255.255', 'public'],
    ['192.0.0.0', 'reserved'],
    ['192.0.0.255', 'reserved'],
    ['192.0.1.0', 'public'],
    ['192.0.2.1', 'documentation'],
    ['192.88.99.1', 'reserved'],
    ['192.167.255.255', 'public'],
    ['192.168.0.0', 'private'],
    ['192.168.255.255', 'private'],
    ['192.169.0.0', 'public'],
    ['198.17.255.255', 'public'],
    ['198.18.0.0', 'benchmarking'],
    ['198.19.255.255', 'benchmarking'],
    ['198.20.0.0', 'public'],
    ['198.51.100.7', 'documentation'],
    ['203.0.113.7', 'documentation'],
    ['223.255.255.255', 'public'],
    ['224.0.0.0', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['240.0.0.0', 'reserved'],
    ['255.255.255.254', 'reserved'],
    ['255.255.255.255', 'broadcast'],
  ]
  for (const [ip, kind] of cases) t.equal(judgeAddress(ip), kind, ip)
})

t.test('knows the metadata addresses of the clouds', async (t) => {
  for (const ip of [
    '169.254.169.254',
    '169.254.170.2',
    '169.254.170.23',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
    'FD00:0EC2:0:0:0:0:0:0254',
    'fd20:ce::254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
  ])
    t.equal(judgeAddress(ip), 'metadata', ip)
})

t.test('judges an IPv6 address by its range', async (t) => {
  const cases: [string, string][] = [
    ['::', 'unspecified'],
    ['0:0:0:0:0:0:0:0', 'unspecified'],
    ['::0.0.0.0', 'unspecified'],
    ['::1', 'loopback'],
    ['::0.0.0.1', 'loopback'],
    ['0:0:0:0:0:0:0:1', 'loopback'],
    ['100::1', 'reserved'],
    ['200::1', 'reserved'],
    ['2000::1', 'public'],
    ['2001:4860:4860::8888', 'public'],
    ['2001:1ff:ffff::1', 'reserved'],
    ['2001:200::1', 'public'],
    ['2001:2::1', 'reserved'],
    ['2001:10::1', 'reserved'],
    ['2001:db8::1', 'documentation'],
    ['2001:db9::1', 'public'],
    ['3fff::1', 'documentation'],
    ['3fff:fff::1', 'documentation'],
    ['3fff:1000::1', 'public'],
    ['4000::1', 'reserved'],
    ['5f00::1', 'reserved'],
    ['fbff::1', 'reserved'],
    ['fc00::1', 'private'],
    ['fdff:ffff::1', 'private'],
    ['fe00::1', 'reserved'],
    ['fe80::1', 'link-local'],
    ['febf::1', 'link-local'],
    ['fec0::1', 'private'],
    ['feff::1', 'private'],
    ['ff02::1', 'multicast'],
    ['ffff::', 'multicast'],
  ]
  for (const [ip, kind] of cases) t.equal(judgeAddress(ip), kind, ip)
})

t.test('judges an IPv6 address that carries an IPv4 one as the one it carries', async (t) => {
  const carriers: ((hi: string, lo: string) => string)[] = [
    (hi, lo) => `::ffff:${hi}:${lo}`,
    (hi, lo) => `::ffff:0:${hi}:${lo}`,
    (hi, lo) => `::${hi}:${lo}`,
    (hi, lo) => `64:ff9b::${hi}:${lo}`,
    (hi, lo) => `64:ff9b:1::${hi}:${lo}`,
    (hi, lo) => `64:ff9b:1:2:3:4:${hi}:${lo}`,
    (hi, lo) => `2002:${hi}:${lo}::1`,
    (hi, lo) => `2001:0:${hi}:${lo}:0:0:f7f7:f7f7`,
    (hi, lo) =>
      `2001:0:808:808:0:0:${(~Number(`0x${hi}`) & 0xffff).toString(16)}:${(~Number(`0x${lo}`) & 0xffff).toString(16)}`,
    (hi, lo) => `2a00:1:2:3:0:5efe:${hi}:${lo}`,
    (hi, lo) => `2a00:1:2:3:200:5efe:${hi}:${lo}`,
  ]
  for (const carry of carriers) {
    t.equal(judgeAddress(carry('808', '808')), 'translated', carry('808', '808'))
    t.equal(judgeAddress(carry('7f00', '1')), 'loopback', carry('7f00', '1'))
    t.equal(judgeAddress(carry('a00', '1')), 'private', carry('a00', '1'))
    t.equal(judgeAddress(carry('e000', '1')), 'multicast', carry('e000', '1'))
  }
  t.equal(judgeAddress('fe80::5efe:808:808'), 'link-local')
})

t.test('takes nothing for an address that is not one in its plain spelling', async (t) => {
  for (const text of [
    '',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '1.2.3.-0',
    '1.2.3.+1',
    '1.2.3.1e1',
    '1.2.3.0x1',
    '01.2.3.4',
    '1.2.3.4 ',
    '1.2.3.',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '12345::',
    'g::',
    '::1%eth0',
    'fe80::1%25eth0',
    '[::1]',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:5',
    ':1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:',
    'localhost',
  ]) {
    t.equal(judgeAddress(text), 'invalid', JSON.stringify(text))
    t.equal(comparableAddress(text), undefined)
  }
})

t.test(
  'never dials multicast, broadcast, unspecified or invalid, and the rest only where told',
  async (t) => {
    for (const ip of [
      '224.0.0.1',
      '255.255.255.255',
      '0.0.0.0',
      '0.1.2.3',
      '::',
      'ff02::1',
      '::ffff:0.0.0.0',
      '?',
    ])
      t.equal(mayDial(judgeAddress(ip), true), false, ip)
    for (const ip of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', 'fd00::1', '64:ff9b::808:808']) {
      t.equal(mayDial(judgeAddress(ip), true), true, ip)
      t.equal(mayDial(judgeAddress(ip), false), false, ip)
    }
    t.equal(mayDial(judgeAddress('1.1.1.1'), false), true)
  },
)

t.test('compares addresses by where a packet goes, not by their spelling', async (t) => {
  t.equal(comparableAddress('127.0.0.1'), '127.0.0.1')
  t.equal(comparableAddress('::ffff:7f00:1'), '127.0.0.1')
  t.equal(comparableAddress('64:ff9b::7f00:1'), '127.0.0.1')
  t.equal(comparableAddress('::ffff:198.51.101.7'), '198.51.101.7')
  t.equal(comparableAddress('::1'), comparableAddress('0:0::0:1'))
  t.not(comparableAddress('::1'), comparableAddress('::2'))
})

const spellings = vectors('ssrf/ip-spellings.json')

t.test('denies every spelling that a guard must deny, and no other', spellings.options, async (t) => {
  const cases = JSON.parse(spellings.read()) as {
    host: string
    ip: string | null
    form: string
    expect: 'deny' | 'allow'
  }[]
  t.ok(cases.length > 300)
  for (const { host, ip, form, expect } of cases) {
    const canonical = canonicalHost(host)
    // A name is judged by what it resolves to: the names of this host to loopback, the others to metadata.
    const answer = ip ?? (host.toLowerCase().includes('local') ? '127.0.0.1' : '169.254.169.254')
    const address =
      canonical === undefined ? undefined : isAddress(canonical) ? canonical.replace(/^\[|\]$/g, '') : answer
    const allowed = address !== undefined && mayDial(judgeAddress(address), false)
    t.equal(allowed, expect === 'allow', `${form} ${host}`)
  }
})
