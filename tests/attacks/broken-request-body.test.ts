import t from 'tap'
import { ASKS, startEchoSite } from '../kit/echo-site.ts'
import { ENTRANCES, sendBy } from '../kit/raw.ts'

const { site, upstream, goal } = await startEchoSite(t)

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: a body that breaks off is the client's fault, and never whole upstream`, async (t) => {
    for (const [raw, end] of [
      ['zz\r\n', false],
      ['5\r\nabcdeX', false],
      ['5\r\nab', true],
      ['0\r\nbad trailer\r\n\r\n', false],
    ] as const) {
      const client = await sendBy(t, site, entrance, goal, {
        method: 'POST',
        headers: [ASKS, 'Transfer-Encoding: chunked'],
        raw,
      })
      if (end) client.socket.end()
      const { status, body } = await client.response()
      t.equal(status, 400)
      t.equal(JSON.parse(body).code, 'bad_request')
      await client.gone()
    }
  })
}

t.test('no upstream took one of them for whole', (t) => {
  t.notMatch(upstream.bytes, '0\r\n\r\n')
  t.end()
})
