import { request } from 'node:http'
import t from 'tap'
import { startSite } from '../kit/site.ts'
import { signatureOf, startTokenEndpoint, tokenMethod } from '../kit/token-method.ts'
import { startUpstream } from '../kit/upstream.ts'

t.test('a request is signed with a token that is renewed once when it is refused', async (t) => {
  const endpoint = await startTokenEndpoint(t)
  let takes = 0
  const upstream = await startUpstream(t, {
    tls: false,
    serve: (request, response) => {
      const token = request.headers.authorization?.replace('Bearer ', '') ?? ''
      const signed = signatureOf(token, {
        method: request.method as string,
        host: request.headers.host,
        target: request.url as string,
      })
      const good = request.headers['x-signature'] === signed && token === endpoint.tokens[takes]
      response.writeHead(good ? 200 : 401).end(`you sent ${token}`)
    },
  })
  const site = await startSite(
    t,
    {
      principals: [{ id: 'ada', kind: 'user' }],
      connections: [
        {
          name: 'crm',
          destinations: [upstream.origin],
          allowPrivateNetwork: true,
          allowPlaintext: true,
          auth: { method: 'token', url: endpoint.url },
        },
      ],
      credentials: [
        {
          name: 'one',
          connection: 'crm',
          for: 'shared',
          fields: { clientId: 'c', clientSecret: 'a secret' },
        },
      ],
    },
    { methods: [tokenMethod] },
  )
  const get = (path: string): Promise<{ status?: number; body: string }> =>
    new Promise((resolve, reject) => {
      const sent = request({
        port: site.port,
        path: `${upstream.origin}${path}`,
        headers: { host: upstream.authority, 'proxy-authorization': `Bearer ${site.keys.ada}` },
        agent: false,
      })
      sent.on('error', reject)
      sent.on('response', async (response) => {
        let body = ''
        for await (const chunk of response.setEncoding('utf8')) body += chunk
        resolve({ status: response.statusCode, body })
      })
      sent.end()
    })
  const masked = `you sent ${'*'.repeat(endpoint.tokens[0]?.length ?? 28)}`
  t.same(await get('/first?x=1'), { status: 200, body: masked }, 'signed, and its echo is masked')
  t.same(await get('/second'), { status: 200, body: masked })
  t.equal(endpoint.asked.length, 1)
  takes = 1
  t.same(await get('/third'), { status: 200, body: masked }, 'refused, renewed and sent again')
  t.equal(endpoint.asked.length, 2)
  takes = 9
  t.equal((await get('/fourth')).status, 401, 'a second refusal is passed back')
  t.equal(endpoint.asked.length, 3)
  t.equal(upstream.requests.length, 2 + 2 + 2)
})
