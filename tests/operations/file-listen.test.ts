import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LocumError } from '../../core/errors.ts'
import { readConfigFile } from '../../operations/file.ts'
import { issue, makeCa } from '../kit/certificates.ts'
import { makeFolder } from '../kit/listener.ts'
import { openDesk } from './kit.ts'

t.test('a listener is an address or a Unix socket, with TLS or without; paths are the file’s', async (t) => {
  const { context } = await openDesk(t)
  // Short, as a socket's path has to be.
  const folder = makeFolder(t)
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const ca = await makeCa()
  const { cert, key } = await issue(ca, ['locum.example'])
  write('cert.pem', `${cert}\n${ca.cert}`)
  write('key.pem', key)
  write('clients.pem', ca.cert)
  const file = write(
    'locum.yaml',
    `listen:
  proxy: { address: "0.0.0.0:8443", tls: { cert: cert.pem, key: ./key.pem, clientCa: clients.pem } }
  console: "unix:///run/locum.sock"
  gateway: "unix:g.sock"
  public: "[::1]:0"
`,
  )
  const { listen } = await readConfigFile(file, context)
  t.same(listen, {
    proxy: {
      address: '0.0.0.0:8443',
      tls: { cert: `${folder}/cert.pem`, key: `${folder}/key.pem`, clientCa: `${folder}/clients.pem` },
    },
    console: { address: 'unix:/run/locum.sock', tls: undefined },
    gateway: { address: `unix:${folder}/g.sock`, tls: undefined },
    public: { address: '[::1]:0', tls: undefined },
    allowPlaintextListener: false,
  })
})

t.test('what cannot serve is told at its place, and nothing of a key with it', async (t) => {
  const { context, write } = await openDesk(t)
  const ca = await makeCa()
  const one = await issue(ca, ['locum.example'])
  const other = await issue(ca, ['locum.example'])
  await write('cert.pem', one.cert)
  await write('key.pem', one.key)
  await write('other.pem', other.key)
  await write('empty.pem', '')
  await write('chain.pem', one.cert.trimEnd() + ca.cert)
  await write('cas.pem', ca.cert.trimEnd() + (await makeCa('Other')).cert)
  await write('middle.pem', (await makeCa('Middle', ca)).cert)
  await write('locked.pem', one.key.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE'))
  await write('broken.pem', one.key.replace(/\n.{20}/, '\n'))
  const tls = (more: string) => `{ address: "127.0.0.1:0", tls: { ${more} } }`
  const good = 'cert: cert.pem, key: key.pem'
  for (const [what, listener, key, says] of [
    [
      'a listener without an address',
      '{ tls: { cert: a, key: b } }',
      '.address',
      /missing; expected HOST:PORT/,
    ],
    ['TLS without a key', tls('cert: cert.pem'), '.tls.key', /missing/],
    ['an unknown key', tls(`${good}, clientCA: x`), '.tls.clientCA', /did you mean `clientCa`/],
    ['a file that is not there', tls('cert: none.pem, key: key.pem'), '.tls.cert', /there is no such file/],
    [
      'a certificate that is none',
      tls('cert: key.pem, key: key.pem'),
      '.tls.cert',
      /not a list of certificates in PEM/,
    ],
    ['a key that is none', tls('cert: cert.pem, key: cert.pem'), '.tls.key', /holds no private key in PEM/],
    ['a broken key', tls('cert: cert.pem, key: broken.pem'), '.tls.key', /holds no private key in PEM/],
    ['an encrypted key', tls('cert: cert.pem, key: locked.pem'), '.tls.key', /is encrypted/],
    ['the key of another', tls('cert: cert.pem, key: other.pem'), '.tls.key', /not the key of the first/],
    [
      'a CA that is none',
      tls(`${good}, clientCa: cert.pem`),
      '.tls.clientCa',
      /not a list of CA certificates/,
    ],
    ['no CA at all', tls(`${good}, clientCa: empty.pem`), '.tls.clientCa', /not a list of CA certificates/],
    [
      'a chain that runs together',
      tls('cert: chain.pem, key: key.pem'),
      '.tls.cert',
      /each on lines of its own/,
    ],
    ['CAs that run together', tls(`${good}, clientCa: cas.pem`), '.tls.clientCa', /each on lines of its own/],
    [
      'an intermediate CA alone',
      tls(`${good}, clientCa: middle.pem`),
      '.tls.clientCa',
      /an intermediate CA without the CA that issued it/,
    ],
    ['an open address', '"0.0.0.0:8080"', '', /without TLS it can only be .*allowPlaintextListener: true/],
    ['an open address, at length', '{ address: "10.0.0.1:8080" }', '.address', /without TLS/],
    ['TLS on a Unix socket', `{ address: "unix:/x", tls: { ${good} } }`, '.address', /no use for TLS/],
    ['a long path', `"unix:/${'x'.repeat(108)}"`, '', /longer than the 107 bytes/],
    ['an abstract socket', '"unix:@locum"', '', /abstract socket/],
    ['no path', '"unix:"', '', /HOST:PORT/],
    ['a number', '8080', '', /expected HOST:PORT/],
  ] as const) {
    const file = await write('locum.yaml', `listen:\n  gateway: ${listener}\n`)
    const error = await readConfigFile(file, context).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    if (!(error instanceof LocumError)) throw new Error(`${what}: not refused`)
    t.match(error.detail, says, what)
    t.match(error.detail, new RegExp(`^${file}:2:\\d+: listen\\.gateway${key}: [^\\n]+$`), what)
    t.notMatch(error.detail, one.key.slice(40, 60), what)
  }
  const open = await write('locum.yaml', 'listen: { proxy: "0.0.0.0:0", allowPlaintextListener: true }\n')
  t.match((await readConfigFile(open, context)).listen, { proxy: { address: '0.0.0.0:0' } })
})
