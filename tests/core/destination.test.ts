import fc from 'fast-check'
import t from 'tap'
import {
  audienceCovers,
  authorityOf,
  canonicalHost,
  covers,
  destinationText,
  isAddress,
  parseAuthority,
  parseDestination,
} from '../../core/destination.ts'
import { to, verdict } from './kit.ts'

t.test('gives each host one spelling', async (t) => {
  const spellings: [string, string][] = [
    ['api.example.com', 'api.example.com'],
    ['API.Example.COM', 'api.example.com'],
    ['api.example.com.', 'api.example.com'],
    ['localhost', 'localhost'],
    ['a_b.example', 'a_b.example'],
    ['1.example', '1.example'],
    ['xn--mnchen-3ya.example', 'xn--mnchen-3ya.example'],
    ['127.0.0.1', '127.0.0.1'],
    ['127.0.0.1.', '127.0.0.1'],
    ['[::1]', '[::1]'],
    ['[0:0:0:0:0:0:0:1]', '[::1]'],
    ['[2001:DB8::1]', '[2001:db8::1]'],
    ['[::ffff:127.0.0.1]', '[::ffff:7f00:1]'],
  ]
  for (const [text, host] of spellings) t.equal(canonicalHost(text), host, text)
  const longest = `${'a.'.repeat(126)}b`
  t.equal(longest.length, 253)
  t.equal(canonicalHost(longest), longest, 'RFC 1035 §2.3.4')
  t.equal(canonicalHost(`${longest}.`), longest)
  t.equal(canonicalHost(`${longest}b`), undefined)
})

t.test('refuses a host that is none, and a number in disguise', async (t) => {
  for (const text of [
    '',
    '.',
    'a..b',
    '.a',
    'a..',
    '-a.example',
    'a-.example',
    'a b',
    'a\tb',
    'a%00b',
    'exämple.com',
    'api.example。com',
    'a/b',
    'a@b',
    'a:b',
    'a?b',
    'a#b',
    'a\\b',
    '*.example',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '127.1',
    '0177.0.0.1',
    '127.0.0.01',
    '127.0.0.256',
    '1.2.3.4.5',
    'a.0x',
    'a.1',
    'xn--127.0.0.1',
    'xn--.example',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}example`,
    '[::1',
    '::1',
    '[::1%25eth0]',
    '[fe80::1%eth0]',
    '[1::2::3]',
    '[api.example]',
    '[]',
  ])
    t.equal(canonicalHost(text), undefined, JSON.stringify(text))
})

t.test('reads a port only in plain decimal', async (t) => {
  t.same(parseAuthority('api.example:8443'), { host: 'api.example', port: 8443 })
  t.same(parseAuthority('[::1]:65535'), { host: '[::1]', port: 65_535 })
  t.same(parseAuthority('api.example'), { host: 'api.example', port: undefined })
  t.same(parseAuthority('api.example:00080'), { host: 'api.example', port: 80 })
  for (const text of [
    ':80',
    'a:',
    'a:0',
    'a:65536',
    'a:-1',
    'a:+1',
    'a:0x50',
    'a:8 0',
    'a:443:80',
    'a:99999999999',
    'a:８０',
  ])
    t.equal(parseAuthority(text), undefined, text)
})

t.test('reads scheme, host and port of a destination, and nothing else', async (t) => {
  t.same(parseDestination('https://API.example.com'), {
    scheme: 'https',
    host: 'api.example.com',
    port: 443,
    wildcard: false,
  })
  t.same(parseDestination('HTTP://a.example:8080/'), {
    scheme: 'http',
    host: 'a.example',
    port: 8080,
    wildcard: false,
  })
  t.same(parseDestination('https://*.crm.example'), {
    scheme: 'https',
    host: '*.crm.example',
    port: 443,
    wildcard: true,
  })
  for (const text of [
    'api.example.com',
    'ftp://api.example.com',
    'https://api.example.com/v1',
    'https://api.example.com/?',
    'https://api.example.com#a',
    'https://user@api.example.com',
    'https://api.example.com\\@evil',
    'https://*',
    'https://*.example',
    'https://*.*.example.com',
    'https://a.*.example.com',
    'https://a*.example.com',
    'https://**.example.com',
    'https://*.10.0.0.1',
    'https://*.[::1]',
    'https:///a',
    ' https://a.example',
  ])
    t.equal(
      verdict(() => parseDestination(text)),
      'bad_request',
      text,
    )
})

t.test('writes a destination as it is read', async (t) => {
  t.equal(destinationText(to('https://a.example:443')), 'https://a.example')
  t.equal(destinationText(to('http://a.example:443')), 'http://a.example:443')
  t.equal(authorityOf(to('https://a.example:80')), 'a.example:80')
  const label = fc
    .stringMatching(/^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$/)
    .filter((text) => !text.startsWith('xn--'))
  const host = fc.oneof(
    fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join('.')),
    fc.ipV4(),
    fc
      .ipV6()
      .map((ip) => `[${ip}]`)
      .filter((ip) => canonicalHost(ip) !== undefined),
  )
  fc.assert(
    fc.property(
      fc.constantFrom('http', 'https'),
      host,
      fc.integer({ min: 1, max: 65_535 }),
      fc.boolean(),
      (scheme, name, port, wild) => {
        const wildcard = wild && !isAddress(name)
        const read = parseDestination(`${scheme}://${wildcard ? '*.' : ''}${name}:${port}`)
        t.same(parseDestination(destinationText(read)), read)
        t.equal(read.port, port)
        t.equal(read.wildcard, wildcard)
      },
    ),
    { numRuns: 200 },
  )
})

t.test('an exact destination covers itself alone (R2)', async (t) => {
  const declared = to('https://allowed.com')
  t.ok(covers(declared, to('https://allowed.com')))
  t.ok(covers(declared, to('https://ALLOWED.com.:443')))
  for (const other of [
    'https://evilallowed.com',
    'https://allowed.com.evil',
    'https://evil.allowed.com',
    'https://allowed.co',
    'https://llowed.com',
    'https://allowed.com:8443',
    'http://allowed.com',
    'http://allowed.com:443',
  ])
    t.notOk(covers(declared, to(other)), other)
})

t.test('a wildcard covers one whole left-most label (R2)', async (t) => {
  const declared = to('https://*.crm.example')
  t.ok(covers(declared, to('https://acme.crm.example')))
  t.ok(covers(declared, to('https://a-b_c.crm.example')))
  for (const other of [
    'https://crm.example',
    'https://a.b.crm.example',
    'https://evilcrm.example',
    'https://acme.crm.example.evil',
    'https://acme.evilcrm.example',
    'https://acme.crm.example:8443',
    'http://acme.crm.example',
    'https://10.0.0.1',
    'https://[::1]',
  ])
    t.notOk(covers(declared, to(other)), other)
})

t.test('an audience covers what one of its entries covers', async (t) => {
  const audience = ['https://a.example', 'https://*.b.example']
  t.ok(audienceCovers(audience, to('https://a.example')))
  t.ok(audienceCovers(audience, to('https://x.b.example')))
  t.notOk(audienceCovers(audience, to('https://c.example')))
  t.notOk(audienceCovers([], to('https://a.example')))
})
