import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/methods/separate-url.md'), 'utf8')

interface Example {
  connections: { name: string; destinations: string[]; auth: { request: Record<string, unknown> } }[]
  credentials: { fields: Record<string, unknown> }[]
}

t.test('the file of the page logs in and is served', async (t) => {
  const asked: string[] = []
  const login = createServer(async (request, response) => {
    let body = ''
    for await (const piece of request) body += piece
    asked.push(`${request.method} ${request.url} ${body}`)
    response.end('{"session":{"token":"the-token-of-the-session"},"expires_in":600}')
  })
  login.listen(0, '127.0.0.1')
  await once(login, 'listening')
  t.teardown(() => login.close())
  const upstream = await startUpstream(t)

  const example = parse(/```yaml\n(.*?)```/s.exec(PAGE)?.[1] as string) as Example
  const [connection] = example.connections as [Example['connections'][number]]
  const { request } = connection.auth
  t.equal(request.url, 'https://login.example.com/session')
  t.same(connection.destinations, ['https://erp.example.com'])
  // Only where it leads is another here, and where the secret comes from.
  const here = { allowPrivateNetwork: true, allowPlaintext: true }
  Object.assign(request, here, { url: `http://localhost:${(login.address() as AddressInfo).port}/session` })
  Object.assign(connection, { destinations: [upstream.origin], ca: upstream.ca, allowPrivateNetwork: true })
  for (const credential of example.credentials)
    credential.fields = { username: 'ada', password: 'open sesame' }

  const site = await startSite(t, example)
  for (const entrance of ENTRANCES) {
    const goal = { ...upstream, name: connection.name }
    const { status, body } = await askBy(t, site, entrance, goal, { path: '/echo' })
    t.equal(status, 200, entrance)
    t.notMatch(body, 'the-token-of-the-session')
  }
  for (const { headers } of upstream.requests)
    t.equal(headers.authorization, 'Session the-token-of-the-session')
  t.same(asked, ['POST /session {"user":"ada","password":"open sesame"}'])
})
