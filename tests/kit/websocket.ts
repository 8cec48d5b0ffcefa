import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { WebSocket } from 'ws'
import { type Asked, type Entrance, type Goal, openTunnel } from './raw.ts'
import type { Teardown, TestSite } from './site.ts'

/** A WebSocket by the `ws` package, and the messages that came. */
export interface OpenWebSocket {
  readonly ws: WebSocket
  readonly messages: readonly string[]
  readonly upgrade: IncomingMessage
  next(): Promise<string>
  readonly closed: Promise<unknown>
}

/** Opens `asked.path` by an entrance. Rejects with `Unexpected server response: STATUS` where it is refused. */
export async function openWebSocket(
  t: Teardown,
  site: TestSite,
  entrance: Entrance,
  goal: Goal,
  { as = 'ada', path = '/ws', headers = [] }: Asked = {},
): Promise<OpenWebSocket> {
  const fields: Record<string, string> = {}
  for (const line of headers)
    fields[line.slice(0, line.indexOf(':'))] = line.slice(line.indexOf(':') + 1).trim()
  const name = entrance === 'gateway' ? 'Locum-Authorization' : 'Proxy-Authorization'
  if (entrance !== 'connect') fields[name] = `Bearer ${site.keys[as]}`
  const plain = goal.origin.startsWith('http:')
  const socket =
    entrance === 'connect'
      ? (await openTunnel(t, site, goal.authority, { as, plain })).socket
      : connect(site.port, '127.0.0.1')
  socket.removeAllListeners('data')
  const url =
    entrance === 'gateway'
      ? `ws://127.0.0.1:${site.port}/c/${goal.name}${path}`
      : `ws://${goal.authority}${path}`
  const ws = new WebSocket(url, {
    headers: fields,
    createConnection: () => socket,
    finishRequest: (request) => {
      if (entrance === 'forward') request.path = `http://${goal.authority}${path}`
      request.end()
    },
  })
  const messages: string[] = []
  const waiting: ((message: string) => void)[] = []
  let taken = 0
  ws.on('message', (data) => {
    messages.push(String(data))
    const resolve = waiting.shift()
    if (resolve) resolve(messages[taken++] as string)
  })
  const closed = new Promise((resolve) => ws.on('close', resolve))
  const upgraded = once(ws, 'upgrade')
  const opened = once(ws, 'open')
  t.teardown(() => ws.terminate())
  const [[upgrade]] = (await Promise.all([upgraded, opened])) as [[IncomingMessage], unknown]
  ws.on('error', () => {})
  return {
    ws,
    messages,
    upgrade,
    closed,
    next: () =>
      taken < messages.length
        ? Promise.resolve(messages[taken++] as string)
        : new Promise((resolve) => waiting.push(resolve)),
  }
}
