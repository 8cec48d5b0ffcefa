import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { createServer } from 'node:net'
import t from 'tap'
import { start } from '../../main.ts'
import { openStore } from '../../store/open.ts'

t.test('a start that fails at its last step leaves no listener open', async (t) => {
  let full = false
  const store = await openStore({
    data: t.testdir(),
    audit: {
      write: (fd, bytes) => {
        if (full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        return writeSync(fd, bytes)
      },
    },
  })
  t.teardown(() => store.close())
  const config = { data: '', store, env: {}, listen: { proxy: '127.0.0.1:0', console: '127.0.0.1:0' } }
  const first = await start(config)
  const { host, port } = new URL(first.proxyUrl)
  await first.close(0)

  full = true
  await t.rejects(start({ ...config, listen: { ...config.listen, proxy: host } }), { code: 'internal' })
  full = false
  const again = createServer().listen(Number(port), '127.0.0.1')
  await once(again, 'listening')
  again.close()
})

t.test('with `durability: disk` the disk has what was recorded, from the start on', async (t) => {
  let syncs = 0
  const store = await openStore({ data: t.testdir(), audit: { syncNow: () => void syncs++ } })
  t.teardown(() => store.close())
  const listen = { proxy: '127.0.0.1:0', console: '127.0.0.1:0' }
  const config = { data: '', store, env: {}, listen }
  await (await start(config)).close(0)
  syncs = 0
  await (await start(config)).close(0)
  t.equal(syncs, 0)
  await (await start({ ...config, durability: 'disk' })).close(0)
  t.equal(syncs, 2, 'that it started, and that it stopped')
})
