import t from 'tap'
import { Upstreams } from '../../proxy/upstreams/upstreams.ts'
import { connectH1 } from '../../proxy/wire/h1/client.ts'
import { Fields, type RequestHead } from '../../proxy/wire/message.ts'

const head: RequestHead = {
  method: 'GET',
  target: '/',
  minor: 1,
  host: 'dead.example',
  fields: new Fields(),
  contentLength: undefined,
  chunked: false,
  upgrade: undefined,
  expectContinue: false,
}

t.test('a name that nobody answers for is asked for once, however many wait for it', async (t) => {
  const asked: string[] = []
  const answers: ((error: Error) => void)[] = []
  const upstreams = new Upstreams({
    connect: (socket) => connectH1(socket),
    lookup: (name) => {
      asked.push(name)
      return new Promise((_, reject) => answers.push(reject))
    },
    ownListeners: () => [],
  })
  t.teardown(() => upstreams.close())
  const codes: string[] = []
  const send = (host: string) =>
    upstreams.send(
      {
        key: host,
        destination: { scheme: 'https', host, port: 443, wildcard: false },
        allowPrivateNetwork: false,
      },
      head,
      undefined,
      {
        informational: () => {},
        response: () => {},
        upgraded: () => {},
        failed: ({ code }) => codes.push(code),
      },
    )
  for (let i = 0; i < 100; i++) send('dead.example')
  send('other.example')
  t.strictSame(asked, ['dead.example', 'other.example'])
  for (const reject of answers) reject(Object.assign(new Error('timeout'), { code: 'EAI_AGAIN' }))
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(codes, new Array(101).fill('upstream_unreachable'))
  send('dead.example')
  t.equal(asked.length, 3, 'and again by whoever comes later')
})
