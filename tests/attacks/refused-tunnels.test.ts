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

t.test(
  'a refused tunnel ends its connection, so that nothing sent for it is read as a request',
  async (t) => {
    const { site, upstream } = await startEchoSite(t)
    const key = `Proxy-Authorization: Bearer ${site.keys.ada}\r\n`
    const inside = `GET http://${upstream.authority}/inside HTTP/1.1\r\nHost: ${upstream.authority}\r\n${key}\r\n`
    for (const [target, shown, status] of [
      ['elsewhere.example:443', key, 403],
      [upstream.authority, '', 407],
    ] as const) {
      const client = await dial(t, site.port)
      // As a client sends that does not wait for the answer.
      client.send(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${shown}\r\n${inside}`)
      const response = await client.response()
      t.equal(response.status, status)
      t.equal(response.headers.connection, 'close')
      t.equal(await client.whole(), '', 'nothing comes behind it')
      t.equal(upstream.requests.length, 0)
    }
  },
)
