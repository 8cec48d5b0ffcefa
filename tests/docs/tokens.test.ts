import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import t from 'tap'
import { parse } from 'yaml'
import { openShell } from '../cli/kit.ts'
import { CLIENT_SECRET, startIdp } from '../kit/idp.ts'
import { makePerson } from '../kit/person.ts'
import { askBy, ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const page = (name: string) => readFileSync(join(import.meta.dirname, '../../docs', name), 'utf8')

interface Example {
  providers: Record<string, unknown>[]
  connections: { name: string; destinations: string[] }[]
}
const exampleOf = (text: string) => parse(/```yaml\n(.*?)```/s.exec(text)?.[1] as string) as Example

t.test('the file of the OAuth page tells people to consent, and serves them', async (t) => {
  const example = exampleOf(page('methods/oauth2.md'))
  const idp = await startIdp(t)
  const upstream = await startUpstream(t)
  // Only where it leads is another here, and who the client is.
  t.equal(example.providers[0]?.issuer, 'https://id.acme.example')
  const client = { clientId: 'web', clientSecret: CLIENT_SECRET, authorizeParams: { prompt: 'consent' } }
  const here = { allowPrivateNetwork: true }
  Object.assign(example.providers[0] as object, { issuer: idp.issuer, ca: idp.ca, ...here, ...client })
  Object.assign(example.connections[0] as object, {
    destinations: [upstream.origin],
    ca: upstream.ca,
    ...here,
  })
  const site = await startSite(t, example)
  idp.sendBackTo(site.consoleUrl)
  const goal = { ...upstream, name: 'acme' }
  t.match(JSON.parse((await askBy(t, site, 'connect', goal, { path: '/echo' })).body), {
    code: 'credential_missing',
    authorizeUrl: `${site.consoleUrl}/connect/acme`,
  })
  const ada = makePerson(site)
  await ada.signIn('ada')
  await ada.connect('acme', idp)
  await site.settle()
  for (const entrance of ENTRANCES)
    t.equal((await askBy(t, site, entrance, goal, { path: '/echo' })).status, 200, entrance)
})

t.test('the file of the JWT page signs for whoever calls', async (t) => {
  const example = exampleOf(page('methods/jwt.md'))
  const upstream = await startUpstream(t)
  const here = { destinations: [upstream.origin], ca: upstream.ca, allowPrivateNetwork: true }
  Object.assign(example.connections[0] as object, here)
  const site = await startSite(t, example)
  t.equal((await askBy(t, site, 'connect', { ...upstream, name: 'reports' }, { path: '/echo' })).status, 200)
  const bearer = upstream.requests[0]?.headers.authorization?.slice('Bearer '.length) ?? ''
  t.match(decodeJwt(bearer), {
    iss: 'https://locum.example.com',
    sub: 'ada',
    aud: 'https://reports.example.com',
    role: 'sales',
    scopes: ['read', 'write'],
  })
})

t.test('the commands of the JWT page do what it says', async (t) => {
  const commands = [...page('methods/jwt.md').matchAll(/^locum (cert .*)$/gm)].map(
    ([, line]) => line as string,
  )
  t.equal(commands.length, 8)
  const { run } = openShell(t)
  for (const line of commands) t.equal((await run(line.replace(/ --out \S+/, ''))).code, 0, line)
})
