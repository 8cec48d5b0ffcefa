import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { SIGNATURES } from '../../core/identity.ts'
import { absent, runCurl } from '../clients/running.ts'
import { HERE, makeClock, startIssuer } from '../identity/kit.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/CALLERS.md'), 'utf8')
const block = (kind: string) => new RegExp(`\`\`\`${kind}\\n(.*?)\`\`\``, 's').exec(PAGE)?.[1] as string

interface Example {
  identity: { issuers: Record<string, unknown>[] }
  connections: { name: string; destinations: string[] }[]
  credentials: { fields: Record<string, unknown> }[]
}

const skip = absent('curl', ['--version'], 'curl')

t.test('the file and the commands of the page let a user of the issuer in', { skip }, async (t) => {
  const clock = makeClock()
  const idp = await startIssuer(t, clock)
  const upstream = await startUpstream(t)
  const example = parse(block('yaml')) as Example
  const [issuer] = example.identity.issuers as [Record<string, unknown>]
  const [connection] = example.connections as [Example['connections'][number]]
  t.equal(issuer.issuer, 'https://idp.example.com')
  t.same(connection.destinations, ['https://crm.example.com'])
  // Only where they are is another here, and where the secret comes from.
  Object.assign(issuer, { issuer: idp.issuer, ...HERE })
  Object.assign(connection, { destinations: [upstream.origin], ca: upstream.ca, allowPrivateNetwork: true })
  for (const credential of example.credentials) credential.fields = { apiKey: 'the-key-of-the-crm' }
  const site = await startSite(t, example, { clock })

  const token = await idp.token({ role: 'sales', groups: ['north'] })
  const commands = block('sh').trim().split('\n')
  t.equal(commands.length, 2)
  for (const command of commands) {
    const here = command
      .replace('127.0.0.1:8080', `127.0.0.1:${site.port}`)
      .replace('crm.example.com', upstream.authority)
      .replace('$TOKEN', token)
    const words = [...here.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
      ([, a, b, c]) => a ?? b ?? (c as string),
    )
    t.equal(words.shift(), 'curl')
    const { code, errors } = await runCurl(['--fail', ...words])
    t.equal(code, 0, `${command}: ${errors}`)
    t.equal(upstream.requests.at(-1)?.headers.authorization, 'Bearer the-key-of-the-crm')
  }
  t.equal(upstream.requests.length, 2)
})

t.test('the page names every algorithm', async (t) => {
  const row = /\| `algorithms` \| (.*?) unless told/.exec(PAGE)?.[1] ?? ''
  for (const name of SIGNATURES) t.ok(row.includes(name.replace(/\d{3}$/, '')), name)
})
