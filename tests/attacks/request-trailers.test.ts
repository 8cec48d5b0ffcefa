import t from 'tap'
import { ASKS, startEchoSite } from '../kit/echo-site.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'

const { site, upstream, goal } = await startEchoSite(t)

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: a trailer cannot say what the head must not`, async (t) => {
    const { status } = await askBy(t, site, entrance, goal, {
      method: 'POST',
      headers: ['X-Api-Key: <<$Auth.API_Key>>', ASKS, 'Transfer-Encoding: chunked'],
      raw: `1\r\na\r\n0\r\nLocum-Authorization: Bearer ${site.keys.ada}\r\nlocum_for: user:x\r\nX_Api_Key: mine\r\nx-api-key: mine\r\nContent_Length: 7\r\ntransfer_encoding: chunked\r\nX-Sum: 1\r\n\r\n`,
    })
    t.equal(status, 200)
    t.strictSame({ ...upstream.requests.at(-1)?.trailers }, { 'x-sum': '1' })
  })
}
