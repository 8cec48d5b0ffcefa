import { writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import t from 'tap'
import { explainRequest } from '../../operations/explain.ts'
import { openShell } from '../cli/kit.ts'
import { dial, keyLine } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'

/** Whatever is dialled resolves to this host's port 1 or 443, where nobody listens, or is forbidden. */
const FILE = `
unmatched: tunnel
principals: [{ id: ada, profile: sales }, { id: ben }]
connections:
  - { name: opened, destinations: [https://api.localhost:1], auth: { method: none }, allowPrivateNetwork: true }
  - { name: lab, destinations: [https://lab.localhost:1, http://lab.localhost:2], auth: { method: none }, intercept: false, allowPrivateNetwork: true }
  - { name: sales, destinations: ["https://*.sales.localhost:1"], auth: { method: none }, intercept: false, allowPrivateNetwork: true, allow: { profiles: [sales] } }
  - { name: twin-a, destinations: [https://twin.localhost:1], auth: { method: none }, intercept: false, allowPrivateNetwork: true }
  - { name: twin-b, destinations: [https://twin.localhost:1], auth: { method: none }, allowPrivateNetwork: true }
`

t.test('explain says what a CONNECT would do, and it does', async (t) => {
  const site = await startSite(t, FILE, { lookup: async () => [{ address: '127.0.0.1' }] })
  const happens = async (authority: string, as: string, headers: readonly string[]) => {
    const client = await dial(t, site.port)
    const lines = headers.map((line) => `${line}\r\n`).join('')
    client.send(
      `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${lines}${keyLine(site, 'connect', as)}\r\n`,
    )
    await client.until((received) => received.includes('\r\n\r\n'))
    client.socket.destroy()
    return /^HTTP\/1\.1 \d+ .*?(?:\((\w+)\))?\r\n/.exec(client.received)?.[1] ?? 'opened'
  }
  // What passes is dialled before it is answered, and ends there.
  const meant = { untouched: 'upstream_unreachable', unmatched: 'destination_forbidden' }
  let passing = 0
  for (const url of [
    'https://api.localhost:1/',
    'https://lab.localhost:1/x?y',
    'http://lab.localhost:2/',
    'https://lab.localhost/',
    'https://a.sales.localhost:1/',
    'https://sales.localhost:1/',
    'https://twin.localhost:1/',
    'https://elsewhere.test/',
    'https://elsewhere.test:8443/',
    'http://elsewhere.test/',
  ])
    for (const as of ['ada', 'ben'])
      for (const headers of [[], ['Locum-Connection: twin-a'], ['Locum-Connection: twin-b']]) {
        const { protocol, hostname, port } = new URL(url)
        const authority = `${hostname}:${port || (protocol === 'http:' ? 80 : 443)}`
        const { connect } = await site.run(explainRequest, {
          method: 'GET',
          url,
          as,
          headers: headers.map((header) => header.split(': ')),
        })
        const happened = await happens(authority, as, headers)
        const passes = Object.values(meant).includes(happened)
        if (passes) passing++
        t.ok(connect === undefined || connect in meant)
        t.equal(connect && meant[connect], passes ? happened : undefined, `${url} ${as} ${headers}`)
      }
  t.ok(passing >= 8, `${passing} pass`)
})

t.test('the command shows where CONNECT passes', async (t) => {
  const { run, json, data } = openShell(t)
  const file = `${dirname(data)}/locum.yaml`
  writeFileSync(file, FILE)
  t.equal((await run(`apply -f ${file}`)).code, 0)
  t.match((await run('connection show lab')).out, /CONNECT +passes untouched/)
  t.notMatch((await run('connection show opened')).out, /CONNECT/)
  t.match(await json('connection show lab'), { intercept: false })
  t.match(
    (await run('explain GET https://lab.localhost:1/ --as ada')).out,
    /CONNECT +passes untouched: nothing/,
  )
  t.match(
    (await run('explain GET https://elsewhere.test/ --as ada')).out,
    /CONNECT +refused, or where the server says `unmatched: tunnel`/,
  )
  t.notMatch((await run('explain GET https://api.localhost:1/ --as ada')).out, /CONNECT/)
  t.match(await json('explain GET https://elsewhere.test/ --as ada'), { connect: 'unmatched' })
})
