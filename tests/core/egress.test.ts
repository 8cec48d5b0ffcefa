import t from 'tap'
import { isDirect, parseDirectRule, parseEgressProxy, proxyAuthorization } from '../../core/egress.ts'
import { refusal } from './kit.ts'

/** As curl reads NO_PROXY, with two things that are refused instead of never matching: ports and wildcards. */
const RULES: readonly (readonly [rule: string, direct: readonly string[], proxied: readonly string[]])[] = [
  ['*', ['a.example', '1.2.3.4', '[::1]', 'localhost'], []],
  ['internal', ['internal', 'a.internal', 'a.b.internal'], ['notinternal', 'internal.example']],
  ['.internal', ['internal', 'a.internal'], ['notinternal']],
  ['API.Example.', ['api.example', 'v1.api.example'], ['example', 'xapi.example']],
  ['localhost', ['localhost', 'app.localhost'], ['127.0.0.1', '[::1]']],
  ['127.0.0.1', ['127.0.0.1', '[::ffff:7f00:1]'], ['127.0.0.2', 'localhost']],
  [
    '10.0.0.0/8',
    ['10.0.0.0', '10.255.255.255'],
    ['11.0.0.0', '9.255.255.255', '[fd00::a00:1]', 'ten.example'],
  ],
  ['10.1.2.3/8', ['10.9.9.9'], ['11.1.2.3']],
  ['192.168.4.0/23', ['192.168.5.255'], ['192.168.6.0', '192.168.3.255']],
  ['0.0.0.0/0', ['1.2.3.4', '255.1.1.1'], ['[2606:4700::1]']],
  ['::/0', ['[2606:4700::1]', '[::1]'], ['1.2.3.4']],
  ['fd00::/8', ['[fd12::1]'], ['[fe80::1]', '253.0.0.1']],
  ['fd00::1', ['[fd00::1]'], ['[fd00::2]']],
  ['[fd00::1]', ['[fd00::1]'], ['[fd00::2]']],
  ['1.2.3.4/32', ['1.2.3.4'], ['1.2.3.5']],
]

t.test('noProxy goes by the host as it is asked for', async (t) => {
  for (const [rule, direct, proxied] of RULES) {
    const rules = [parseDirectRule(rule)]
    for (const host of direct) t.ok(isDirect(rules, host), `${rule} names ${host}`)
    for (const host of proxied) t.notOk(isDirect(rules, host), `${rule} does not name ${host}`)
  }
  t.notOk(isDirect([], 'a.example'))
  t.ok(isDirect([parseDirectRule('b'), parseDirectRule('a.example')], 'a.example'), 'any of them')
})

t.test('what could never match is refused', async (t) => {
  for (const text of [
    '',
    '.',
    '..a',
    'a:80',
    '1.2.3.4:80',
    '[::1]:80',
    '*.a',
    'a/8',
    '1.2.3.4/33',
    '::/129',
    '1.2.3/8',
    'a b',
    'http://a',
    '0x7f.1',
    '10.0.0.0/-1',
    '10.0.0.0/',
  ])
    t.equal(refusal(() => parseDirectRule(text)).code, 'bad_request', text)
})

t.test('a proxy is a scheme, a host and a port', async (t) => {
  t.same(parseEgressProxy('http://corp:3128'), { scheme: 'http', host: 'corp', port: 3128 })
  t.same(parseEgressProxy('HTTPS://Corp.Example.:443/'), { scheme: 'https', host: 'corp.example', port: 443 })
  t.same(parseEgressProxy('http://[::1]:3128'), { scheme: 'http', host: '[::1]', port: 3128 })
  for (const text of [
    '',
    'corp',
    'corp:3128',
    'http://corp',
    'ftp://corp:1',
    'http://corp:0',
    'http://corp:65536',
    'http://corp:1/x',
    'http://corp:1?x',
    'http://0x7f.1:80',
  ])
    t.equal(refusal(() => parseEgressProxy(text)).code, 'bad_request', text)
  for (const text of ['http://u:geheim@corp:3128', 'http://geheim@corp:3128', 'http://u:geh@eim@corp:1']) {
    const { detail, hint } = refusal(() => parseEgressProxy(text))
    t.notMatch(`${detail} ${hint}`, /geh/)
    t.match(hint, /password/)
  }
})

t.test('credentials are UTF-8, and say nothing of themselves', async (t) => {
  const secret = proxyAuthorization('locum', 'pä:ss wörd')
  t.equal(Buffer.from(secret.reveal().slice(6), 'base64').toString(), 'locum:pä:ss wörd')
  t.equal(`${secret}${JSON.stringify({ secret })}`, '[secret]{"secret":"[secret]"}')
  for (const [username, password] of [
    ['a:b', 'geheim'],
    ['a\n', 'geheim'],
    ['a', 'geheim\r\nX: y'],
    ['a', 'geheim\0'],
  ] as const) {
    const { code, message, hint } = refusal(() => proxyAuthorization(username, password))
    t.equal(code, 'bad_request')
    t.notMatch(`${message} ${hint}`, /geheim/)
  }
})
