import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { listenOnPath } from '../../listeners/unix.ts'
import { makeFolder } from '../kit/listener.ts'

/** Sockets of a process that was killed, at these paths. */
function leave(paths: readonly string[]): void {
  const script = `
    let left = ${paths.length}
    for (const path of ${JSON.stringify(paths)})
      require('node:net').createServer().listen(path, () => --left || process.kill(process.pid, 'SIGKILL'))`
  t.throws(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' }))
}

t.test(
  'of servers that start at once where a dead one was, one serves and the others are told',
  async (t) => {
    const folder = makeFolder(t)
    const paths = Array.from({ length: 20 }, (_, i) => join(folder, `${i}.sock`))
    leave(paths)
    for (const path of paths) {
      const servers = Array.from({ length: 3 }, () => createServer((socket) => socket.destroy()))
      t.teardown(() => servers.map((server) => server.close()))
      const reached: Server[] = []
      for (const server of servers) server.on('connection', () => reached.push(server))
      const outcomes = await Promise.allSettled(servers.map((server) => listenOnPath(server, path)))
      const standing = servers.filter((_, i) => outcomes[i]?.status === 'fulfilled')
      t.equal(standing.length, 1)
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') t.match(outcome.reason, { code: 'bad_request', detail: /in use/ })
      const client = connect({ path })
      await once(client, 'close')
      t.strictSame(reached, standing, 'who stands is who is reached')
    }
    t.equal(readdirSync(folder).length, paths.length, 'nothing else is left')
  },
)
