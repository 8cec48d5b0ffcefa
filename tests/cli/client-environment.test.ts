import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CLIENT_VARIABLES, type ClientGifts, clientEnvironment } from '../../cli/client-environment.ts'
import { directHosts } from '../../cli/direct-hosts.ts'
import { parseDestination } from '../../core/destination.ts'

const written = new Map<string, string>()
const GIFTS: ClientGifts = {
  proxyUrl: 'http://ada%40x:lcm_key@127.0.0.1:8080',
  bareUrl: 'http://127.0.0.1:8080',
  id: 'ada@x',
  key: 'lcm_key',
  direct: ['127.0.0.1', '::1', '.corp.example'],
  home: '/home/ada',
  trust: {
    roots: (before) => `roots(${before ?? ''})`,
    addition: (before) => `addition(${before ?? ''})`,
    truststore: '/run/a folder/trust.p12',
    write: (name, text, after) => {
      written.set(name, `${after}|${text}`)
      return `/run/${name}`
    },
  },
}

t.test('every spelling of a variable is set', async (t) => {
  const env = clientEnvironment({}, GIFTS)
  for (const { names } of CLIENT_VARIABLES) for (const name of names) t.ok(env[name], name)
  for (const name of ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY']) {
    t.equal(env[name], GIFTS.proxyUrl)
  }
  t.equal(env.NO_PROXY, '127.0.0.1,::1,.corp.example')
  t.equal(env.no_proxy, env.NO_PROXY)
})

t.test('nothing of Locum’s own passes, in any spelling, and all else does', async (t) => {
  const env = clientEnvironment(
    {
      LOCUM_MASTER_KEY: 'm',
      Locum_Data: 'd',
      LOCUM_KEY: 'old',
      PATH: '/bin',
      EMPTY: '',
      UV_THREADPOOL_SIZE: '8',
    },
    GIFTS,
  )
  t.same(
    Object.keys(env)
      .filter((name) => /locum/i.test(name))
      .sort(),
    ['LOCUM_KEY', 'LOCUM_URL'],
  )
  t.match(env, { PATH: '/bin', EMPTY: '', UV_THREADPOOL_SIZE: '8', LOCUM_KEY: 'lcm_key' })
  t.notOk('UV_THREADPOOL_SIZE' in clientEnvironment({ UV_THREADPOOL_SIZE: '16', LOCUM_POOL: 'own' }, GIFTS))
})

t.test('what a variable named before goes on being trusted, each by its own reader', async (t) => {
  const env = clientEnvironment({ SSL_CERT_FILE: '/a', NODE_EXTRA_CA_CERTS: '/b', AWS_CA_BUNDLE: '' }, GIFTS)
  t.match(env, {
    SSL_CERT_FILE: 'roots(/a)',
    NODE_EXTRA_CA_CERTS: 'addition(/b)',
    AWS_CA_BUNDLE: 'roots()',
    CURL_CA_BUNDLE: 'roots()',
  })
  clientEnvironment({ WGETRC: '/c' }, GIFTS)
  t.equal(written.get('wgetrc'), '/c|ca_certificate = roots()\n')
  clientEnvironment({}, GIFTS)
  t.equal(written.get('wgetrc'), '/home/ada/.wgetrc|ca_certificate = roots()\n')
  clientEnvironment({}, { ...GIFTS, home: undefined })
  t.equal(written.get('wgetrc'), 'undefined|ca_certificate = roots()\n')
})

t.test('Java is told on its command line what it may show, and the key in a file', async (t) => {
  const { JAVA_TOOL_OPTIONS: tool = '', JDK_JAVA_OPTIONS: jdk = '' } = clientEnvironment(
    { JAVA_TOOL_OPTIONS: '-Xmx1g', JDK_JAVA_OPTIONS: '-Dx=y' },
    GIFTS,
  )
  t.match(tool, /^-Xmx1g .*-Dhttps\.proxyHost=127\.0\.0\.1 -Dhttps\.proxyPort=8080 /)
  t.match(tool, '-Dhttp.nonProxyHosts=127.0.0.1|[::1]|*.corp.example')
  t.match(tool, '"-Djavax.net.ssl.trustStore=/run/a folder/trust.p12"')
  t.equal(jdk, '-Dx=y @/run/java-options')
  t.notMatch(tool + jdk, GIFTS.key)
  const odd = clientEnvironment({}, { ...GIFTS, trust: { ...GIFTS.trust, truststore: '/run/a"b/trust.p12' } })
  t.match(odd.JAVA_TOOL_OPTIONS, `'-Djavax.net.ssl.trustStore=/run/a"b/trust.p12'`)
  t.match(written.get('java-options'), '-Dhttps.proxyPassword=lcm_key\n')
})

t.test('the documentation has the table as it is', async (t) => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/ENVIRONMENT.md'), 'utf8')
  const rows = CLIENT_VARIABLES.map(
    ({ names, holds, readBy }) =>
      `| ${names.map((name) => `\`${name}\``).join(' ')} | ${holds} | ${readBy} |`,
  )
  const table = ['| variable | holds | read by |', '|---|---|---|', ...rows].join('\n')
  t.equal(/^\| variable.*?\|$(?!\n\|)/ms.exec(page)?.[0], table)
})

const at = (...urls: string[]) => urls.map((url) => parseDestination(url))

t.test('this machine is reached directly, unless a connection goes there', async (t) => {
  const direct = (...urls: string[]) => directHosts(undefined, at(...urls)).direct.join()
  t.equal(direct('https://api.example'), 'localhost,127.0.0.1,::1')
  t.equal(direct('http://127.0.0.1:9000'), 'localhost,::1')
  t.equal(direct('http://localhost:9000'), '127.0.0.1,::1')
  t.equal(direct('http://app.localhost:9000'), '127.0.0.1,::1', 'since some read localhost as all below it')
  t.equal(direct('http://[::1]:9000'), 'localhost,127.0.0.1')
})

t.test('an entry that would let a request pass Locum by is dropped', async (t) => {
  const destinations = at(
    'https://api.corp.example',
    'https://*.crm.example',
    'http://10.1.2.3',
    'http://[fd00::7]',
  )
  const cases: [string, boolean][] = [
    ['*', true],
    ['api.corp.example', true],
    ['API.corp.example:443', true],
    ['api.corp.example.', true],
    ['.corp.example', true],
    ['*.corp.example', true],
    ['corp.example', true],
    ['example', true],
    ['pi.corp.example', true],
    ['*corp.example', true],
    ['api.*.example', true],
    ['pai.corp.example', false],
    ['api.*.test', false],
    ['apixcorp.example', false],
    ['www.corp.example', false],
    ['crm.example', true],
    ['acme.crm.example', true],
    ['.acme.crm.example', true],
    ['xcrm.example', false],
    ['10.1.2.3', true],
    ['10.1.2.3:80', true],
    ['10.0.0.0/8', true],
    ['10.2.0.0/16', false],
    ['10.1.0.0-10.1.255.255', true],
    ['10.1.2.4-10.1.2.9', false],
    ['10.1.2.9-10.1.2.1', false],
    ['10.1.2.*', true],
    ['10.2.*', false],
    ['10.0.0.0/99', false],
    ['nonsense/8', false],
    ['fd00::7', true],
    ['[fd00::7]:80', true],
    ['fd00::/8', true],
    ['fd00::1-fd00::9', true],
    ['fd00::1-10.1.2.9', false],
    ['fe80::/10', false],
    ['192.0.2.1', false],
  ]
  for (const [entry, isDropped] of cases) {
    const { direct, dropped } = directHosts(` other.example,${entry} `, destinations)
    t.same(dropped, isDropped ? [entry] : [], entry)
    t.equal(direct.includes(entry), !isDropped, entry)
    t.ok(direct.includes('other.example'))
  }
})
