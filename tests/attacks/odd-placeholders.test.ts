import t from 'tap'
import { SECRET, startEchoSite } from '../kit/echo-site.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'

const { site, upstream, goal } = await startEchoSite(t)
const basic = Buffer.from('<<$Auth.API_Key>>:x').toString('base64')

for (const entrance of ENTRANCES) {
  t.test(`${entrance}: blanks in a Basic value do not carry a placeholder past`, async (t) => {
    for (const value of [
      `Basic\t${basic}`,
      `BASIC   ${basic}`,
      `Basic ${basic.slice(0, 9)} ${basic.slice(9)}`,
    ]) {
      const { status, body } = await askBy(t, site, entrance, goal, { headers: [`Authorization: ${value}`] })
      t.equal(status, 200)
      t.equal(
        upstream.requests.at(-1)?.headers.authorization,
        `Basic ${Buffer.from(`${SECRET}:x`).toString('base64')}`,
      )
      t.notMatch(body, SECRET)
    }
  })

  t.test(`${entrance}: a placeholder that only a form decoder would see does not leave`, async (t) => {
    const before = upstream.requests.length
    for (const query of ['{{+$Auth.API_Key+}}', '%7B%7B+%24Auth.API_Key%7D%7D', '<<+%24auth.API_Key>>']) {
      const { status, body } = await askBy(t, site, entrance, goal, { path: `/echo?a=${query}` })
      t.equal(status, 400)
      t.equal(JSON.parse(body).code, 'placeholder_not_allowed')
    }
    t.equal(upstream.requests.length, before)
    t.equal((await askBy(t, site, entrance, goal, { path: '/echo?a=1+$1+{{x}}' })).status, 200)
  })
}
