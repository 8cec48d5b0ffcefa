import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { freePort, startProgram, untilListening } from '../../bench/processes.ts'
import { FAULTS, startFaults } from '../kit/fault-proxy.ts'
import { askBy, ENTRANCES, type Entrance, eventually, openTunnel, sendBy } from '../kit/raw.ts'
import { startUpstream } from '../kit/upstream.ts'

const COMMAND = join(import.meta.dirname, '../../bin/locum')
/** ms within which everything has to be given back. */
const SOON = 5000
const ASKS = 'Authorization: Bearer <<$Auth.API_Key>>'

const skip = existsSync('/proc/self/fd') ? false : 'this system does not show the files of a process'

t.test(
  'whatever upstreams and clients do, each file and socket is given back',
  { skip, timeout: 60_000 },
  async (t) => {
    const folder = t.testdir({})
    const faults = await startFaults(t)
    const good = await startUpstream(t)
    writeFileSync(join(folder, 'ca.pem'), faults.ca)
    const origins: Readonly<Record<string, string>> = { ...faults.origins, good: good.origin }
    const file = join(folder, 'locum.json')
    writeFileSync(
      file,
      JSON.stringify({
        connections: Object.entries(origins).map(([name, origin]) => ({
          name,
          destinations: [origin],
          ca: './ca.pem',
          allowPrivateNetwork: true,
          auth: { method: 'api-key' },
        })),
        credentials: Object.keys(origins).map((connection) => ({
          connection,
          for: 'shared',
          fields: { apiKey: { env: 'SECRET' } },
        })),
      }),
    )
    const data = join(folder, 'data')
    const run = (...args: readonly string[]) =>
      execFileSync(COMMAND, ['--data', data, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      })
    const ada = run('principal', 'add', 'ada').trim()
    const [port, consolePort] = [await freePort(), await freePort()]
    const listen = ['--proxy', `127.0.0.1:${port}`, '--console', `127.0.0.1:${consolePort}`]
    const program = startProgram(
      'locum',
      [COMMAND, '--data', data, 'serve', '--grace', '0', '--config', file, ...listen],
      {
        env: { SECRET: 'sk_descriptors_0123456789' },
      },
    )
    t.teardown(() => program.stop())
    await untilListening(program, port)
    const site = { port, ca: run('ca', 'export'), keys: { ada } }
    const pid = serverOf(program.process.pid as number)
    const files = () => readdirSync(`/proc/${pid}/fd`).length

    const ask = (entrance: Entrance, name: string) =>
      askBy(t, site, entrance, name === 'good' ? { ...good, name } : faults.goalOf(name), {
        method: 'POST',
        path: `/${name}`,
        headers: [ASKS],
        body: 'b',
      })
    // Once everything was used: what is kept ready for the next request is no leak.
    for (const entrance of ENTRANCES) t.equal((await ask(entrance, 'good')).status, 200)
    await eventually(() => files() > 0, 'they are shown')
    const before = files()

    const quick = Object.keys(FAULTS).filter((name) => !name.startsWith('stall'))
    for (const entrance of ENTRANCES)
      for (let round = 0; round < 3; round++)
        await Promise.all(quick.map((name) => ask(entrance, name).catch(() => {})))
    await eventually(
      () => files() <= before + 1,
      `${files()} files are open, ${before} before the upstreams`,
      SOON,
    )

    for (const entrance of ENTRANCES) {
      const goal = { ...good, name: 'good' }
      const begin = (path: string, headers: readonly string[] = [ASKS], raw = '') =>
        sendBy(t, site, entrance, goal, { method: raw === '' ? 'GET' : 'POST', path, headers, raw })
      for (let round = 0; round < 5; round++) {
        const clients = [
          await begin('/slow'),
          await begin('/sse'),
          await begin('/ws', [
            ASKS,
            'Connection: Upgrade',
            'Upgrade: websocket',
            'Sec-WebSocket-Version: 13',
            `Sec-WebSocket-Key: ${'A'.repeat(22)}==`,
          ]),
          await begin('/echo', [ASKS, 'Content-Length: 100'], 'half'),
          await begin('/echo', [ASKS, 'Transfer-Encoding: chunked'], '5\r\nhe'),
          await openTunnel(t, site, good.authority, { plain: true }),
        ]
        for (const client of clients.slice(0, 3))
          await client.until((received) => received.includes('\r\n\r\n'))
        t.ok(files() >= before + clients.length, 'what is open is seen')
        for (const [i, client] of clients.entries())
          if ((i + round) % 2 === 0) client.reset()
          else client.socket.destroy()
      }
    }
    await eventually(
      () => files() <= before + 1,
      `${files()} files are open, ${before} before the clients`,
      SOON,
    )
    for (const entrance of ENTRANCES) t.equal((await ask(entrance, 'good')).status, 200, 'and it serves')
  },
)

/** The command starts Node under its own process: the last of the line is the server. */
function serverOf(pid: number): number {
  const path = `/proc/${pid}/task/${pid}/children`
  const [child] = existsSync(path)
    ? execFileSync('cat', [path], { encoding: 'utf8' }).trim().split(' ').filter(Boolean)
    : []
  return child === undefined ? pid : serverOf(Number(child))
}
