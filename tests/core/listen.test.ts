import t from 'tap'
import {
  bareHost,
  checkOpenness,
  isLoopbackHost,
  type ListenSpec,
  listenText,
  parseListenAddress,
} from '../../core/listen.ts'
import { refusal, verdict } from './kit.ts'

const parse = (text: string) => parseListenAddress(text, 'the proxy')
const tls = { cert: 'c.pem', key: 'k.pem' }

t.test('an address is a host and a port, or the path of a socket', async (t) => {
  for (const [text, address] of [
    ['127.0.0.1:8080', { kind: 'tcp', host: '127.0.0.1', port: 8080 }],
    ['localhost:0', { kind: 'tcp', host: 'localhost', port: 0 }],
    ['LOCUM.example:65535', { kind: 'tcp', host: 'locum.example', port: 65_535 }],
    ['[::1]:443', { kind: 'tcp', host: '[::1]', port: 443 }],
    ['unix:/run/locum.sock', { kind: 'unix', path: '/run/locum.sock' }],
    ['unix:///run/locum.sock', { kind: 'unix', path: '/run/locum.sock' }],
    ['unix:locum.sock', { kind: 'unix', path: 'locum.sock' }],
    [`unix:/${'x'.repeat(106)}`, { kind: 'unix', path: `/${'x'.repeat(106)}` }],
  ] as const) {
    t.same(parse(text), address, text)
    t.same(parse(listenText(parse(text))), address, 'and is written as it is read')
  }
  t.equal(listenText(parse('unix:///run/locum.sock')), 'unix:/run/locum.sock')
  t.equal(listenText(parse('[::1]:443')), '[::1]:443')
})

t.test('what is no address is refused, and says what one is', async (t) => {
  for (const text of [
    '',
    '8080',
    ':8080',
    'host',
    'host:',
    'host:65536',
    'host:100000',
    'host:80x',
    'a b:80',
    '::1:80',
  ])
    t.match(
      refusal(() => parse(text)),
      { code: 'bad_request', detail: /is not an address for the proxy/, hint: /HOST:PORT/ },
      text,
    )
  for (const [text, fault] of [
    ['unix:', /names no path/],
    ['unix:/a\0b', /names no path/],
    ['unix:@locum', /an abstract socket, which has no permissions/],
    [`unix:/${'x'.repeat(107)}`, /is longer than the 107 bytes/],
    [`unix:/${'é'.repeat(54)}`, /is longer than the 107 bytes/],
  ] as const)
    t.match(
      refusal(() => parse(text)),
      { code: 'bad_request', detail: fault, hint: /unix:\/run/ },
      text,
    )
})

t.test('this machine is named by its loopback, in every spelling', async (t) => {
  for (const host of ['localhost', 'a.localhost', '127.0.0.1', '127.9.9.9', '[::1]'])
    t.equal(isLoopbackHost(host), true, host)
  for (const host of ['locum.example', '0.0.0.0', '10.0.0.1', '[::]', 'localhost.example'])
    t.equal(isLoopbackHost(host), false, host)
  t.equal(bareHost('[::1]'), '::1')
  t.equal(bareHost('127.0.0.1'), '127.0.0.1')
})

t.test(
  'without TLS a listener stands on this machine alone, unless the network is said to be trusted',
  async (t) => {
    const at = (text: string, more: Partial<ListenSpec> = {}, allow = false) =>
      verdict(() => checkOpenness({ address: parse(text), ...more }, 'The proxy', allow))
    for (const text of ['127.0.0.1:1', 'localhost:1', '[::1]:1', 'unix:/run/locum.sock'])
      t.equal(at(text), 'fine', text)
    // RFC 6761 §6.3 promises nothing of other names, whatever they end with.
    for (const text of ['0.0.0.0:1', 'locum.example:1', '10.0.0.1:1', 'a.localhost:1'])
      t.equal(at(text), 'bad_request', text)
    t.equal(at('0.0.0.0:1', { tls }), 'fine')
    t.equal(at('0.0.0.0:1', {}, true), 'fine')
    t.match(
      refusal(() => checkOpenness({ address: parse('0.0.0.0:1') }, 'The proxy', false)),
      { detail: /^The proxy is 0\.0\.0\.0:1: without TLS/ },
    )
    t.equal(at('unix:/run/locum.sock', { tls }), 'bad_request', 'a socket has no use for it')
    t.equal(at('unix:/run/locum.sock', { tls }, true), 'bad_request')
  },
)
