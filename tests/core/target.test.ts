import fc from 'fast-check'
import t from 'tap'
import { covers } from '../../core/destination.ts'
import {
  checkPath,
  parseAbsolute,
  parseBase,
  parseConnect,
  parseGateway,
  parseInTunnel,
  pathOnly,
  type Target,
  tunnelCandidates,
} from '../../core/target.ts'
import { vectors } from '../kit/vectors.ts'
import { refusal, to, verdict } from './kit.ts'

const texts = (target: Target) => target.candidates.map(({ text }) => text)

t.test('http asks for what is declared as http, and else for the same host over TLS', async (t) => {
  t.same(texts(parseAbsolute('http://a.example/x', 'a.example')), ['http://a.example', 'https://a.example'])
  t.same(texts(parseAbsolute('http://a.example:9000/x', undefined)), [
    'http://a.example:9000',
    'https://a.example:9000',
  ])
  t.same(texts(parseAbsolute('http://a.example:443/', undefined)), [
    'http://a.example:443',
    'https://a.example',
  ])
  t.same(texts(parseAbsolute('https://a.example/', undefined)), ['https://a.example'])
  t.same(texts(parseAbsolute('HTTPS://A.Example:443/', 'a.EXAMPLE')), ['https://a.example'])
})

t.test('keeps the path and query as they came, but for what an URL cannot hold', async (t) => {
  t.equal(parseAbsolute('http://a.example', undefined).path, '/')
  t.equal(parseAbsolute('http://a.example?q=1', undefined).path, '/?q=1')
  t.equal(parseAbsolute('http://a.example/a%2Fb//c?d=%20&e=/../', undefined).path, '/a%2Fb//c?d=%20&e=/../')
  t.equal(checkPath('/a?b=<c>{d}'), '/a?b=%3Cc%3E%7Bd%7D')
  t.equal(pathOnly('/a?b?c'), '/a')
  t.equal(pathOnly('/a'), '/a')
})

t.test('a Host that says something else is a contradiction (R1)', async (t) => {
  for (const host of ['a.example', 'A.EXAMPLE.', 'a.example:80'])
    t.equal(
      verdict(() => parseAbsolute('http://a.example/', host)),
      'fine',
      host,
    )
  for (const host of [
    'b.example',
    'a.example:443',
    'a.example:8080',
    'xa.example',
    '',
    'a.example@b',
    'a.example,b.example',
  ])
    t.equal(
      verdict(() => parseAbsolute('http://a.example/', host)),
      'authority_mismatch',
      host,
    )
  t.equal(
    verdict(() => parseAbsolute('https://a.example:8443/', 'a.example')),
    'authority_mismatch',
  )
  t.equal(
    verdict(() => parseAbsolute('http://A.example/', 'b.example')),
    'authority_mismatch',
    'also where the target is known',
  )
  t.equal(
    verdict(() => parseAbsolute('http://A.example/', 'b.example')),
    'authority_mismatch',
  )
})

t.test('a target whose host could be read twice is refused', async (t) => {
  for (const target of [
    'http://user@a.example/',
    'http://user:pass@a.example/',
    'http://@a.example/',
    'http://a.example:80:90/',
    'http://a.example:/',
    'http://127.1/',
    'http://0x7f000001/',
    'http://xn--127.0.0.1:80/',
    'http:///x',
    'http://a.example;b.example/',
    'http://a.example%00.b.example/',
    'ftp://a.example/',
    'http:/a.example/',
    'http:a.example/',
    'a.example:443',
    '*',
    '',
  ])
    t.equal(
      verdict(() => parseAbsolute(target, undefined)),
      'bad_request',
      target,
    )
})

t.test('refuses a dot segment, raw or encoded, however often (R9)', async (t) => {
  for (const path of [
    '/..',
    '/.',
    '/../a',
    '/a/../b',
    '/a/./b',
    '/a/..;/b',
    '/a/..;x=1/b',
    '/%2e%2e/a',
    '/%2E./a',
    '/.%2e',
    '/a%2f..%2fb',
    '/a%2F%2e%2E',
    '/a%5c..%5cb',
    '/a/..%2fb',
    '/a/..%5Cb',
    '/a/..%3bx',
    '/%252e%252e/a',
    '/a%252f..%252fb',
    '/%25252e/a',
    '/a%25255c%25252e%25252e%25252fb',
    '/..?x',
    '/a/..?/../b',
  ]) {
    t.equal(
      verdict(() => checkPath(path)),
      'bad_request',
      path,
    )
    t.equal(
      verdict(() => parseAbsolute(`http://a.example${path}`, undefined)),
      'bad_request',
      path,
    )
    t.equal(
      verdict(() => parseGateway(`/c/crm${path}`)),
      'bad_request',
      path,
    )
  }
  for (const path of [
    '/...',
    '/a.',
    '/.a',
    '/..a',
    '/a..',
    '/a/..b/',
    '/.well-known/x',
    '/%2e%2ea',
    '/a?x=/../',
    '/a?%2e%2e/',
    '/%20',
    '/a%2fb',
  ])
    t.equal(
      verdict(() => checkPath(path)),
      'fine',
      path,
    )
})

const confusion = vectors('ssrf/authority-confusion.txt')

t.test('never dials one host where another was judged', confusion.options, async (t) => {
  const declared = [to('https://allowed.example'), to('http://allowed.example')]
  const templates = confusion.read().split('\n').filter(Boolean)
  t.ok(templates.length > 20)
  let passed = 0
  for (const template of templates) {
    const url = template.replaceAll('ALLOWED', 'allowed.example').replaceAll('EVIL', 'evil.example')
    for (const host of [undefined, 'allowed.example', 'evil.example']) {
      let target: Target
      try {
        target = parseAbsolute(url, host)
      } catch (thrown) {
        t.match(thrown, { code: /^(?:bad_request|authority_mismatch)$/ }, url)
        continue
      }
      for (const { destination, text } of target.candidates) {
        t.same(to(text), destination, 'what is shown, judged and dialled is one value')
        if (!declared.some((one) => covers(one, destination))) continue
        passed++
        t.equal(destination.host, 'allowed.example', url)
        t.notMatch(url + host, 'evil', 'whatever names the other host never passes as the allowed one')
      }
    }
  }
  t.ok(passed > 0, 'some of them only name the allowed host, in an odd spelling')
})

t.test('says of user information what it is, and not what it says', async (t) => {
  const error = refusal(() => parseAbsolute('http://ada:sk_live_marked@a.example/', undefined))
  t.match(error.detail, 'user information')
  t.notMatch(`${error.message} ${error.hint}`, 'sk_live_marked')
})

t.test('a tunnel has a host and a port, and its Host says the same', async (t) => {
  t.same(parseConnect('a.example:443', 'a.example:443'), { host: 'a.example', port: 443 })
  t.same(parseConnect('A.example:443', 'a.example'), { host: 'a.example', port: 443 })
  t.same(parseConnect('[::1]:8443', undefined), { host: '[::1]', port: 8443 })
  for (const [target, host] of [
    ['a.example:443', 'b.example:443'],
    ['a.example:443', 'a.example:444'],
    ['a.example:443', ''],
  ] as const)
    t.equal(
      verdict(() => parseConnect(target, host)),
      'authority_mismatch',
      host,
    )
  for (const target of [
    'a.example',
    'a.example:',
    'a.example:0',
    'https://a.example:443',
    '/x',
    'user@a.example:443',
    '127.1:443',
  ])
    t.equal(
      verdict(() => parseConnect(target, undefined)),
      'bad_request',
      target,
    )
})

t.test('a tunnel may carry TLS to its port, or plain HTTP for it', async (t) => {
  const of = (port: number) => tunnelCandidates({ host: 'a.example', port }).map(({ text }) => text)
  t.same(of(443), ['http://a.example:443', 'https://a.example'])
  t.same(of(80), ['http://a.example', 'https://a.example', 'https://a.example:80'])
  t.same(of(9000), ['http://a.example:9000', 'https://a.example:9000'])
})

t.test('a request in a tunnel says what the tunnel says (R1)', async (t) => {
  const tunnel = { host: 'a.example', port: 443 }
  t.same(texts(parseInTunnel('/x', 'a.example', tunnel, true)), ['https://a.example'])
  t.same(texts(parseInTunnel('https://a.example/x', 'a.example', tunnel, true)), ['https://a.example'])
  t.same(texts(parseInTunnel('/x', 'a.example', { host: 'a.example', port: 80 }, false)), [
    'http://a.example',
    'https://a.example',
  ])
  for (const [target, host] of [
    ['/x', 'b.example'],
    ['/x', 'a.example:444'],
    ['https://b.example/x', 'a.example'],
    ['https://b.example/x', 'b.example'],
    ['https://a.example:444/x', undefined],
    ['http://a.example/x', 'a.example'],
  ] as const)
    t.equal(
      verdict(() => parseInTunnel(target, host, tunnel, true)),
      'authority_mismatch',
      `${target} ${host}`,
    )
  t.equal(
    verdict(() => parseInTunnel('/x', 'a.example', tunnel, false)),
    'authority_mismatch',
    'port 443 without TLS',
  )
  t.equal(
    verdict(() => parseInTunnel('*', 'a.example', tunnel, true)),
    'bad_request',
  )
  t.equal(
    verdict(() => parseInTunnel('/../x', 'a.example', tunnel, true)),
    'bad_request',
  )
})

t.test('the gateway is /c/NAME/ and nothing else', async (t) => {
  t.same(parseGateway('/c/crm/v1/x?y=1'), { name: 'crm', rest: '/v1/x?y=1' })
  t.same(parseGateway('/c/crm'), { name: 'crm', rest: '/' })
  t.same(parseGateway('/c/crm?y=1'), { name: 'crm', rest: '/?y=1' })
  t.same(parseGateway('/c/crm/'), { name: 'crm', rest: '/' })
  for (const target of [
    '/',
    '/c',
    '/c/',
    '/C/crm/',
    '//c/crm/',
    '/x/c/crm/',
    '/c/a%20b/',
    '/c/a:b/',
    '/c//x',
    `/c/${'a'.repeat(129)}/`,
  ])
    t.equal(parseGateway(target), undefined, target)
})

t.test('one slash stands where a base and a path are joined', async (t) => {
  for (const base of ['https://a.example', 'https://a.example/', 'https://a.example//'])
    t.equal(parseBase(base).prefix, '', base)
  for (const base of ['https://a.example/api', 'https://a.example/api/', 'https://a.example/api///'])
    t.equal(parseBase(base).prefix, '/api', base)
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[a-z]{1,5}$/), { maxLength: 3 }),
      fc.boolean(),
      fc.array(fc.stringMatching(/^[a-z]{1,5}$/), { maxLength: 3 }),
      (prefix, slash, rest) => {
        const base = parseBase(`https://a.example/${prefix.join('/')}${slash ? '/' : ''}`)
        const asked = parseGateway(`/c/crm/${rest.join('/')}`)
        t.equal(base.prefix + asked?.rest, `/${[...prefix, ...(rest.length === 0 ? [''] : rest)].join('/')}`)
      },
    ),
    { numRuns: 100 },
  )
  t.equal(parseBase('HTTPS://A.example:443/v1').candidate.text, 'https://a.example')
})

t.test('a base is scheme, host and path; its error holds nothing of it', async (t) => {
  for (const base of [
    'a.example',
    'ftp://a.example/',
    'https://a.example/?q',
    'https://a.example/#f',
    'https://sk_live_marked@a.example/',
    'https://a.example/../sk_live_marked',
    'https://a.example/%2e%2e/sk_live_marked',
    'https://*.sk_live_marked.example/',
    'https://sk_live_marked.127.1/',
    'https://sk_live_marked:x/',
    'https://a.example\\sk_live_marked/',
    'https://a.example/sk_live_marked\n',
    'https://a.example/sk_live_markedé',
  ]) {
    const error = refusal(() => parseBase(base))
    t.equal(error.code, 'bad_request', base)
    t.notMatch(`${error.message} ${error.hint}`, 'sk_live_marked', base)
  }
})

t.test('what a target was read as is read from its own text again', async (t) => {
  const host = fc.stringMatching(/^[a-z]{1,8}(\.[a-z]{1,8}){1,2}$/)
  const path = fc.stringMatching(/^(\/[a-z0-9-]{1,6}){0,3}(\?[a-z=&]{0,8})?$/)
  fc.assert(
    fc.property(
      fc.constantFrom('http', 'https'),
      host,
      fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }),
      path,
      (scheme, name, port, rest) => {
        const read = parseAbsolute(
          `${scheme}://${name}${port === undefined ? '' : `:${port}`}${rest}`,
          undefined,
        )
        const again = parseAbsolute(`${read.candidates[0]?.text}${read.path}`, undefined)
        t.same(again, read)
      },
    ),
    { numRuns: 200 },
  )
})
