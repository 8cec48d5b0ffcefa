import t from 'tap'
import { startEchoSite } from '../kit/echo-site.ts'
import { dial, openTunnel } from '../kit/raw.ts'

t.test('the audit says who was refused a tunnel, and where to', async (t) => {
  const { site } = await startEchoSite(t)
  await t.rejects(openTunnel(t, site, 'Elsewhere.Example:443'), /403 .*connection_not_found/)
  await t.rejects(openTunnel(t, site, 'elsewhere.example:443', { as: 'nobody' }), /407/)
  t.match(
    (await site.audit()).filter(({ event }) => event === 'refused'),
    [
      { caller: 'ada', destination: 'elsewhere.example:443', code: 'connection_not_found' },
      { caller: undefined, destination: 'elsewhere.example:443', code: 'caller_unauthenticated' },
    ],
  )
})

t.test('a client that goes while its key is looked up is no fault of the program', async (t) => {
  const { site, goal } = await startEchoSite(t)
  const { store } = site.context
  const { keyHolder } = store
  let release = (): void => {}
  store.keyHolder = async (...args) => {
    await new Promise<void>((resolve) => {
      release = resolve
    })
    return keyHolder(...args)
  }
  const client = await dial(t, site.port)
  client.send(
    `CONNECT ${goal.authority} HTTP/1.1\r\nHost: ${goal.authority}\r\nProxy-Authorization: Bearer ${site.keys.ada}\r\n\r\n`,
  )
  while (String(release) === String(() => {})) await new Promise((resolve) => setImmediate(resolve))
  client.socket.resetAndDestroy()
  await client.gone()
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
  release()
  await site.settle()
  t.strictSame(site.log, [])
  t.strictSame(
    (await site.audit()).filter(({ event }) => event === 'refused'),
    [],
  )
})
