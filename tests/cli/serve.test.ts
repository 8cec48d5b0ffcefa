import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import t from 'tap'
import { isProxyKey } from '../../core/proxy-key.ts'
import { listenerFiles, makeFolder } from '../kit/listener.ts'
import { openShell, startProgram } from './kit.ts'

// Programs of their own start here, on machines that may be busy.
t.setTimeout(120_000)

const ANY = ['--proxy', '127.0.0.1:0', '--console', '127.0.0.1:0']
const FILE = `
principals: [{ id: billing, kind: service }]
identity: { default: billing }
connections: [{ name: api, destinations: [https://api.example], auth: { method: api-key } }]
`

function get(url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
      .once('error', reject)
      .end()
  })
}

t.test('the first start says all that is needed, and a signal ends it well', async (t) => {
  const folder = t.testdir({ 'locum.yaml': FILE })
  const data = `${folder}/data`
  const serve = () => startProgram(t, ['serve', '--data', data, '--config', `${folder}/locum.yaml`, ...ANY])
  const first = serve()
  const [, line] = await first.until(/\n {2}(curl .*)\n/)
  const [, consoleUrl] = await first.until(/console {2}(http:\S+)/)
  const [, proxyUrl] = await first.until(/proxy {4}(http:\S+)/)
  t.same(await get(`${consoleUrl}/healthz`), { status: 200, body: 'ok\n' })
  t.match(await get(`${consoleUrl}/readyz`), { status: 200, body: /"status":"ready"/ })
  t.match((await get(`${consoleUrl}/ca.pem`)).body, /^-----BEGIN CERTIFICATE-----/)
  t.match(await get(`${proxyUrl}/c/nothing/`), { status: 404, body: /connection_not_found/ })

  const keyFile = `${data}/admin-key`
  const key = readFileSync(keyFile, 'utf8')
  t.ok(isProxyKey(key.trimEnd()), 'alone in its file')
  t.equal(statSync(keyFile).mode & 0o777, 0o600)
  t.equal(statSync(data).mode & 0o777, 0o700)
  t.notMatch(`${first.said.out}${first.said.err}`, key.trim(), 'and nowhere else')
  t.equal(line, `curl --proxy ${proxyUrl} --proxy-user "admin:$(cat '${keyFile}')" http://api.example/`)

  first.child.kill('SIGTERM')
  t.same(await first.ended(), { code: 0, signal: null })
  t.match(first.said.err, /stopping/)

  const second = serve()
  await second.until(/Try it/)
  t.notMatch(second.said.out, /administrator/)
  t.match(second.said.err, /Nothing to change/)
  second.child.kill('SIGINT')
  t.same(await second.ended(), { code: 0, signal: null })
})

t.test('stopping waits for what runs, and no longer than its grace', async (t) => {
  const data = t.testdir()
  const program = startProgram(t, ['serve', '--data', data, '--grace', '0', ...ANY])
  const [, port] = await program.until(/proxy {4}http:\/\/127.0.0.1:(\d+)/)
  const half = connect(Number(port), '127.0.0.1')
  half.on('error', () => {})
  await once(half, 'connect')
  half.write('GET http://api.example/ HTTP/1.1\r\nHost:')
  program.child.kill('SIGTERM')
  t.same(await program.ended(), { code: 0, signal: null })
})

t.test('a port in use is one line and a hint', async (t) => {
  const { run } = openShell(t)
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  for (const which of ['proxy', 'console']) {
    const addresses = [...ANY, `--${which}`, `127.0.0.1:${port}`]
    const { code, out, err } = await run(['serve', ...addresses], { untilStopped: () => Promise.resolve() })
    t.match({ code, out }, { code: 1, out: '' })
    t.equal(
      err,
      `locum: bad_request: The address 127.0.0.1:${port} is in use by another program.\n` +
        'Choose another with --proxy HOST:PORT and --console HOST:PORT.\n',
    )
  }
})

t.test('an address that is none, or open to the network without TLS, is refused', async (t) => {
  const { run } = openShell(t)
  for (const address of ['nonsense', '127.0.0.1', '127.0.0.1:99999', '0.0.0.0:0', '192.0.2.1:0', '[::]:0']) {
    const outcome = await run(['serve', ...ANY, '--proxy', address], {
      untilStopped: () => Promise.resolve(),
    })
    t.match(outcome, { code: 1, out: '', err: /^locum: bad_request: [^\n]+\n[^\n]+\n$/ }, address)
  }
})

t.test('on a terminal the key is shown, once, and never written to a file', async (t) => {
  const { run, data, env } = openShell(t)
  const people = { isInteractive: true, untilStopped: () => Promise.resolve() }
  const first = await run(['serve', ...ANY], people)
  const key = /lcm_\w{49}/.exec(first.out)?.[0] ?? ''
  t.ok(isProxyKey(key))
  t.throws(() => readFileSync(`${data}/admin-key`))
  t.match(
    first.out,
    /There are no connections yet: locum apply -f FILE.*curl http:\/\/127.0.0.1:\d+\/healthz/s,
  )
  const second = await run(['serve', ...ANY], people)
  t.match(second, { code: 0 })
  t.notMatch(second.out, /lcm_/)
  t.same(env, {})
})

t.test('a key that cannot be handed over is taken back', async (t) => {
  const { run, data } = openShell(t)
  await run('site show')
  const { mkdirSync } = await import('node:fs')
  mkdirSync(`${data}/admin-key/in-the-way`, { recursive: true })
  const stopped = { untilStopped: () => Promise.resolve() }
  t.match(await run(['serve', ...ANY], stopped), { code: 1, err: /key cannot be written to .*admin-key/ })
  t.equal((await run('principal ls')).out, '')
})

t.test('as JSON the start is one object', async (t) => {
  const { json, run } = openShell(t)
  const { out } = await run(['serve', '--json', ...ANY], { untilStopped: () => Promise.resolve() })
  t.match(JSON.parse(out), { proxy: /^http:/, console: /^http:/, adminKeyFile: /admin-key$/ })
  t.match(await json('principal show admin'), { admin: true })
})

t.test('listeners of the file are used where the command line names none', async (t) => {
  const { run } = openShell(t)
  const file = `${t.testdirName}/locum.yaml`
  writeFileSync(file, 'listen: { proxy: "localhost:0", console: "127.0.0.1:0" }\n')
  const outcome = await run(['serve', '--config', file], { untilStopped: () => Promise.resolve() })
  t.match(outcome, { code: 0, out: /proxy {4}http:\/\/localhost:\d+/ })
})

t.test('a Unix socket stands where an address does, and what is said of it can be pasted', async (t) => {
  const { run } = openShell(t)
  const folder = makeFolder(t)
  const file = `${folder}/locum.yaml`
  writeFileSync(
    file,
    `listen: { proxy: "unix:p.sock", gateway: "127.0.0.1:0", public: "127.0.0.1:0" }${FILE}`,
  )
  const stopped = { untilStopped: () => Promise.resolve() }
  const { code, out } = await run(['serve', '--config', file, '--console', `unix:${folder}/c.sock`], stopped)
  t.equal(code, 0)
  t.match(out, `proxy    unix:${folder}/p.sock   apps with a base URL: http://localhost/c/NAME/\n`)
  t.match(out, `console  unix:${folder}/c.sock `)
  t.match(out, /gateway {2}(http:\S+) {3}\1\/c\/NAME\//)
  t.match(out, /public {3}http:\S+/)
  t.match(out, `  curl --unix-socket '${folder}/p.sock' --header "Proxy-Authorization: Bearer $(cat '`)
  const json = await run(['serve', '--json', '--config', file, '--console', '127.0.0.1:0'], stopped)
  t.match(JSON.parse(json.out), { proxy: `unix:${folder}/p.sock`, gateway: /^http:/, public: /^http:/ })
})

t.test('an option moves a listener and leaves its TLS', async (t) => {
  const { run } = openShell(t)
  const { listener, folder } = await listenerFiles(t)
  const file = `${folder}/locum.json`
  writeFileSync(file, JSON.stringify({ listen: { proxy: { ...listener, address: '127.0.0.1:1' } } }))
  const { out } = await run(['serve', '--config', file, ...ANY], { untilStopped: () => Promise.resolve() })
  t.match(out, /proxy {4}https:\/\/127\.0\.0\.1:\d{4}/)
})

t.test('a following tail shows what other processes record, until it is stopped', async (t) => {
  const { run, data } = openShell(t)
  await run('principal add ada')
  const tail = startProgram(t, ['audit', 'tail', '-f', '--data', data])
  await tail.until(/principal.add\tada/)
  await run('principal add bob')
  await tail.until(/principal.add\tbob/)
  t.equal(tail.said.out.split('ada').length, 2, 'each record once')
  tail.child.kill('SIGINT')
  t.same(await tail.ended(), { code: 0, signal: null })
})
