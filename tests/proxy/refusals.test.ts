import t from 'tap'
import { CODES } from '../../core/errors.ts'
import { ASKS, SECRET, startEchoSite } from '../kit/echo-site.ts'
import { type Asked, askBy, dial, ENTRANCES, type Goal, keyLine, openTunnel } from '../kit/raw.ts'

const { site, upstream, goal } = await startEchoSite(t)
const nowhere: Goal = { origin: 'https://nowhere.example', authority: 'nowhere.example:443', name: 'nowhere' }

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: a refusal is problem details with Proxy-Status, and holds no secret`, async (t) => {
    const cases: [Goal, Asked, number, string][] = [
      [goal, { headers: ['X-No: {{$Auth.API_Key}}'] }, 400, 'placeholder_not_allowed'],
      [goal, { headers: ['Authorization: {{$Auth.No}}'] }, 400, 'placeholder_unknown'],
      [goal, { path: '/../x' }, 400, 'bad_request'],
      [goal, { path: '/reset', headers: [ASKS] }, 502, 'upstream_unreachable'],
      [goal, { path: '/headers?Content-Encoding=compress', headers: [ASKS] }, 502, 'upstream_invalid'],
    ]
    if (entrance !== 'connect') {
      cases.push([goal, { as: '' }, entrance === 'gateway' ? 401 : 407, 'caller_unauthenticated'])
      cases.push([nowhere, {}, entrance === 'gateway' ? 404 : 403, 'connection_not_found'])
    }
    for (const [to, asked, status, code] of cases) {
      const response = await askBy(t, site, entrance, to, asked)
      t.equal(response.status, status, code)
      t.equal(response.headers['content-type'], 'application/problem+json')
      t.equal(response.headers['cache-control'], 'no-store')
      t.match(response.headers['proxy-status'], /^locum; error=[a-z_]+; details="[a-z_]+"$/)
      t.match(response.headers['proxy-status'], `details="${code}"`)
      const problem = JSON.parse(response.body)
      t.match(problem, { type: 'about:blank', status, code, title: String, detail: String })
      t.strictSame(problem.error, { message: `${code}: ${problem.detail}`, code })
      t.equal(problem.title, CODES[code as keyof typeof CODES].title)
      t.notMatch(JSON.stringify(response), SECRET)
    }
  })
}

t.test('an unknown caller is asked for a key in the way of the entrance', async (t) => {
  const forward = await askBy(t, site, 'forward', goal, { as: '' })
  t.match(forward.headers['proxy-authenticate'], /^Basic realm="Locum"/)
  t.equal(forward.headers['www-authenticate'], undefined)
  const gateway = await askBy(t, site, 'gateway', goal, { as: '' })
  t.match(gateway.headers['www-authenticate'], /^Bearer realm="Locum"/)
  t.equal(gateway.headers['proxy-authenticate'], undefined)
})

t.test('an unknown id, a wrong key and a key of somebody else cannot be told apart', async (t) => {
  const basic = (text: string) => `Proxy-Authorization: Basic ${Buffer.from(text).toString('base64')}`
  const bodies = new Set<string>()
  for (const line of [
    'Proxy-Authorization: Bearer x',
    `Proxy-Authorization: Bearer ${'lcm_'.padEnd(53, '0')}`,
    `Proxy-Authorization: Digest ${site.keys.ada}`,
    basic(`ben:${site.keys.ada}`),
    basic(`:${site.keys.ada}`),
    basic('ada:wrong'),
    basic('nobody:wrong'),
    basic('ada'),
    'Proxy-Authorization: Basic',
    'Proxy-Authorization: ',
    'X-Nothing: 1',
  ]) {
    const response = await askBy(t, site, 'forward', goal, { as: '', headers: [line] })
    t.equal(response.status, 407, line.slice(0, 30))
    bodies.add(response.body)
  }
  t.equal(bodies.size, 1)
  t.equal(
    (await askBy(t, site, 'forward', goal, { as: '', headers: [basic(`ada:${site.keys.ada}`)] })).status,
    200,
  )
  const gateway = await askBy(t, site, 'gateway', goal, {
    as: '',
    headers: [`Proxy-Authorization: Bearer ${site.keys.ada}`],
  })
  t.equal(gateway.status, 401, 'the proxy’s header counts for nothing at the gateway')
})

t.test('a refused CONNECT has the code in its reason phrase', async (t) => {
  await t.rejects(
    openTunnel(t, site, goal.authority, { as: '' }),
    /407 Proxy Authentication Required \(caller_unauthenticated\)/,
  )
  await t.rejects(openTunnel(t, site, 'nowhere.example:443'), /403 Forbidden \(connection_not_found\)/)
  await t.rejects(openTunnel(t, site, 'localhost'), /400 Bad Request \(bad_request\)/)
  await t.rejects(openTunnel(t, site, `user@localhost:${upstream.port}`), /400 Bad Request/)
})

t.test('what is no request is answered as one that is bad, and closes', async (t) => {
  const before = upstream.bytes.length
  const key = keyLine(site, 'forward', 'ada')
  for (const [text, status] of [
    ['GET / HTTP/1.1\r\n\r\n', 400],
    ['TRACE http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
    ['GET http://localhost/ HTTP/2.0\r\nHost: localhost\r\n\r\n', 400],
    ['nonsense\r\n\r\n', 400],
    [`GET http://u:p@${goal.authority}/ HTTP/1.1\r\nHost: ${goal.authority}\r\n${key}\r\n`, 400],
    [`GET http://${goal.authority}/#f HTTP/1.1\r\nHost: ${goal.authority}\r\n\r\n`, 400],
    [`GET http://${goal.authority}/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`, 400],
    [`GET ftp://${goal.authority}/ HTTP/1.1\r\nHost: ${goal.authority}\r\n${key}\r\n`, 400],
    [
      `GET http://${goal.authority}/ HTTP/1.1\r\nHost: ${goal.authority}\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`,
      431,
    ],
    [`OPTIONS * HTTP/1.1\r\nHost: ${goal.authority}\r\n${key}\r\n`, 400],
  ] as const) {
    const client = await dial(t, site.port)
    const response = await client.send(text).response()
    t.equal(response.status, status, text.slice(0, 40))
    t.equal(response.headers['content-type'], 'application/problem+json')
    client.socket.destroy()
  }
  t.equal(upstream.bytes.length, before)
})

t.test('refusals are in the audit, with what is known of them', async (t) => {
  const refused = (await site.audit()).filter(({ event }) => event === 'refused')
  t.ok(
    refused.some(
      (one) => one.code === 'placeholder_not_allowed' && one.caller === 'ada' && one.connection === 'echo',
    ),
  )
  t.ok(refused.some((one) => one.code === 'caller_unauthenticated' && one.caller === undefined))
  t.ok(refused.some((one) => one.code === 'connection_not_found' && one.entrance === 'connect'))
  t.strictSame(await site.verify(), [])
})
