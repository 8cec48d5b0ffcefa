import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { findServer, ServerSign } from '../../cli/servers.ts'
import { openShell, startProgram } from './kit.ts'
import { locum } from './run-kit.ts'

// Programs of their own start here, on machines that may be busy.
t.setTimeout(120_000)

const ANY = ['--proxy', '127.0.0.1:0', '--console', '127.0.0.1:0']
const PROXY = 'http://127.0.0.1:9'

type Teardown = { teardown(work: () => unknown): void }

async function listen(t: Teardown, serve: RequestListener, port = 0): Promise<number> {
  const server = createServer(serve).listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

/** An answer that is never whole, and never still. */
function drip(socket: Socket, start: string): void {
  socket.write(start)
  const timer = setInterval(() => socket.write('a'), 100)
  socket.on('error', () => {}).on('close', () => clearInterval(timer))
}

const challengeOf = (url = '') => /challenge=(\w+)/.exec(url)?.[1] ?? ''

/** A console that proves what the sign can. */
async function consoleOf(t: Teardown, sign: ServerSign): Promise<string> {
  const port = await listen(t, (request, response) => {
    response.setHeader('Locum-Proof', sign.prove(challengeOf(request.url))).end('ok\n')
  })
  return `http://127.0.0.1:${port}`
}

t.test('a server is found by its sign, and not behind it', async (t) => {
  const data = t.testdir()
  t.equal(await findServer(data), undefined, 'where there never was one')
  const sign = new ServerSign(data)
  const address = { proxyUrl: PROXY, consoleUrl: await consoleOf(t, sign) }
  await sign.put(address)
  t.same(await findServer(data), address)
  const [name] = readdirSync(join(data, 'servers')) as [string]
  t.equal(statSync(join(data, 'servers')).mode & 0o777, 0o700)
  t.equal(statSync(join(data, 'servers', name)).mode & 0o777, 0o600)
  await sign.withdraw()
  t.equal(await findServer(data), undefined)
  t.same(readdirSync(join(data, 'servers')), [])
})

t.test('of several the one that started last is taken, and the others where it is gone', async (t) => {
  const data = t.testdir()
  const signs = [new ServerSign(data), new ServerSign(data)] as const
  const urls = [await consoleOf(t, signs[0]), await consoleOf(t, signs[1])] as const
  for (const [i, sign] of signs.entries()) await sign.put({ proxyUrl: PROXY, consoleUrl: urls[i] as string })
  for (const name of readdirSync(join(data, 'servers'))) {
    const path = join(data, 'servers', name)
    const at = readFileSync(path, 'utf8').includes(urls[0]) ? 1_000 : 2_000
    utimesSync(path, at, at)
  }
  t.match(await findServer(data), { consoleUrl: urls[1] })
  await signs[1].withdraw()
  t.match(await findServer(data), { consoleUrl: urls[0] })
})

t.test('what answers where a server was is not taken for it', async (t) => {
  const data = t.testdir()
  const sign = new ServerSign(data)
  const heard: string[] = []
  const stranger = new ServerSign(data)
  const answers: Record<string, RequestListener> = {
    'as every Locum does': (_, response) => response.end('ok\n'),
    'with a proof of its own': ({ url }, response) =>
      response.setHeader('Locum-Proof', stranger.prove(challengeOf(url))).end('ok\n'),
    'with the challenge': ({ url }, response) =>
      response.setHeader('Locum-Proof', challengeOf(url)).end('ok\n'),
    'with an old proof': (_, response) =>
      response.setHeader('Locum-Proof', sign.prove('0'.repeat(64))).end('ok\n'),
    'with a reset': ({ socket }) => socket.destroy(),
    never: () => {},
    'without an end': ({ socket }) => drip(socket, 'HTTP/1.1 200 OK\r\nx: '),
    'with a body without an end': ({ socket }) => drip(socket, 'HTTP/1.1 200 OK\r\n\r\n'),
  }
  for (const [how, serve] of Object.entries(answers)) {
    const port = await listen(t, (request, response) => {
      heard.push(request.url ?? '')
      serve(request, response)
    })
    await sign.put({ proxyUrl: PROXY, consoleUrl: `http://127.0.0.1:${port}` })
    t.equal(await findServer(data), undefined, how)
  }
  t.equal(new Set(heard).size, Object.keys(answers).length, 'no challenge comes twice')
  const [name] = readdirSync(join(data, 'servers')) as [string]
  const { secret } = JSON.parse(readFileSync(join(data, 'servers', name), 'utf8'))
  t.notMatch(heard.join(), secret)
})

t.test('a file that is none, or names another machine, TLS or a socket, is passed over', async (t) => {
  const data = t.testdir()
  const sign = new ServerSign(data)
  const consoleUrl = await consoleOf(t, sign)
  for (const proxyUrl of [
    'https://127.0.0.1:1',
    'http://192.0.2.1:1',
    'http://127.0.0.1.evil.example:1',
    'unix:/tmp/x',
    'http://127.0.0.1:1/?',
  ]) {
    await sign.put({ proxyUrl, consoleUrl })
    t.equal(await findServer(data), undefined, proxyUrl)
  }
  await sign.put({ proxyUrl: PROXY, consoleUrl })
  for (const [i, text] of ['', '{', 'null', '[]', '{"proxy":1}'].entries()) {
    writeFileSync(join(data, 'servers', `${i}.json`), text)
  }
  t.match(await findServer(data), { consoleUrl }, 'the others are found beside them')
})

t.test('a server that was killed is forgotten when the next one starts', async (t) => {
  const { data, run } = openShell(t)
  await run('site show')
  const first = startProgram(t, ['serve', '--data', data, ...ANY])
  await first.until(/console {2}http/)
  first.child.kill('SIGKILL')
  await first.ended()
  const left = readdirSync(join(data, 'servers'))
  t.equal(left.length, 1)
  const second = startProgram(t, ['serve', '--data', data, ...ANY])
  await second.until(/console {2}http/)
  const now = readdirSync(join(data, 'servers'))
  t.equal(now.length, 1)
  t.notSame(now, left)
  second.child.kill('SIGTERM')
  await second.ended()
  t.same(readdirSync(join(data, 'servers')), [])
})

t.test('run uses the server that is there, and else one of its own for as long as it takes', async (t) => {
  const { data, run } = openShell(t)
  await run('principal add ada')
  const urlInside = async () => {
    const { code, out, err } = await locum(t, data, [
      'run',
      '--as',
      'ada',
      '--',
      'sh',
      '-c',
      'echo $LOCUM_URL',
    ]).ended
    t.same({ code, err }, { code: 0, err: '' })
    return out.trim()
  }
  const own = await urlInside()
  await t.rejects(fetch(own), 'its own is gone with it')
  const server = startProgram(t, ['serve', '--data', data, ...ANY])
  const [, proxyUrl] = await server.until(/proxy {4}(http:\S+).*console/s)
  t.equal(await urlInside(), proxyUrl)
  server.child.kill('SIGTERM')
  await server.ended()
  t.not(await urlInside(), proxyUrl)
})
