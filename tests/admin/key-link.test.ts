import t from 'tap'
import { isProxyKey, proxyKeyHash } from '../../core/proxy-key.ts'
import { SYSTEM } from '../../core/words.ts'
import { invitePrincipal } from '../../operations/links.ts'
import { makePerson } from '../kit/person.ts'
import { startSite } from '../kit/site.ts'

t.test('a link shows a key once, to whoever presses the button', async (t) => {
  const site = await startSite(t, { connections: [] })
  const { ticket } = await site.run(invitePrincipal, { id: 'fay' })
  const person = makePerson(site)
  for (let i = 0; i < 2; i++) {
    const looked = await person.get(`/key?ticket=${ticket}`)
    t.equal(looked.status, 200)
    t.match(looked.body, /<strong>fay<\/strong>/)
    t.notMatch(looked.body, /id="key"/)
  }
  const called = await fetch(`${site.proxyUrl}/c/x/`, {
    headers: { 'locum-authorization': `Bearer ${ticket}` },
  })
  t.equal(called.status, 401, 'it calls nothing')
  t.equal((await person.post('/key', { ticket }, { origin: 'https://evil.example' })).status, 403)
  const shown = await person.post('/key', { ticket })
  const key = /id="key">(lcm_\w+)</.exec(shown.body)?.[1] ?? ''
  t.ok(isProxyKey(key) && key !== ticket)
  t.match(await site.context.store.keyHolder(SYSTEM, proxyKeyHash(key)), { principal: { id: 'fay' } })
  t.equal(shown.headers['cache-control'], 'no-store')
  for (const again of [await person.get(`/key?ticket=${ticket}`), await person.post('/key', { ticket })]) {
    t.equal(again.status, 400)
    t.match(again.body, /good for nothing/)
  }
  t.equal((await person.get('/key')).status, 400)
  t.notMatch(JSON.stringify(await site.audit()), ticket)
})
