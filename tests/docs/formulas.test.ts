import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { parseConfiguredTemplate } from '../../core/configured.ts'
import { fill } from '../../core/placeholder.ts'
import { makeCaller } from '../core/kit.ts'
import { askBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/FORMULAS.md'), 'utf8')

t.test('every formula of the page is what the page says', async (t) => {
  const claims = { groups: ['eu-north', 'us', 'eu-west'], level: 3, 'cost-centre': 4711 }
  const caller = makeCaller({ id: 'ada', profile: 'sales', email: undefined, claims })
  const rows = [...page.matchAll(/^\| `(.+)` \| `(.+)` \|$/gm)]
    .map(([, formula, value]) => [formula as string, value as string] as const)
    .filter(([formula]) => /\$User|timestamp/.test(formula))
  t.ok(rows.length > 10)
  for (const [formula, value] of rows)
    t.equal(
      fill(parseConfiguredTemplate(`{{${formula}}}`), { caller }, () => {}),
      value,
      formula,
    )
})

/** One call of each function that the page names. */
const CALLS = [
  'now()',
  'uuid()',
  'base64("x") + base64url(b"x") + hex("x")',
  'hmac("k", "t", "sha512")',
  'sha256("x")',
  'json([1])',
  '"a".replace("a", "b").trim().substring(0).lowerAscii().upperAscii()',
  '"a".contains("a") && "a".startsWith("a") && "a".endsWith("a") && "a".indexOf("a") == 0 && size("a") == 1',
  '"a,b".split(",").map(x, x).filter(x, x != "a").join(",")',
  '[1].all(x, x == 1) && [1].exists(x, x == 1) && has($User.Email)',
  'string(int("1")) + string(double("1")) + string(bytes("1"))',
  'timestamp("2026-11-27T12:00:00Z") + duration("1h")',
]

t.test('every function of the page is there', async (t) => {
  const caller = makeCaller({})
  for (const call of CALLS)
    t.ok(
      fill(parseConfiguredTemplate(`{{${call}}}`), { caller }, () => {}),
      call,
    )
  const [, own = ''] = /Beside CEL's own functions(.*?)Bytes that come/s.exec(page) ?? []
  const named = [...own.matchAll(/`(?:text\.)?([a-z]\w*)(?:\(|`)/g)].map(([, name]) => name as string)
  t.ok(named.length > 25)
  for (const name of named.filter((one) => !/^(?:sha1|sha384|old)$/.test(one)))
    t.ok(
      CALLS.some((call) => call.includes(name)),
      name,
    )
})

t.test('the file of the page does what the page says', async (t) => {
  const example = parse(/```yaml\n(.*?)```/s.exec(page)?.[1] as string) as {
    connections: Record<string, unknown>[]
  }
  const upstream = await startUpstream(t)
  const [reports] = example.connections
  Object.assign(reports as object, {
    destinations: [upstream.origin],
    base: String(reports?.base).replace('https://reports.example.com', upstream.origin),
    ca: upstream.ca,
    allowPrivateNetwork: true,
  })
  const site = await startSite(t, {
    ...example,
    principals: [{ id: 'ada', kind: 'user', profile: 'Sales' }],
    credentials: [{ connection: 'reports', for: 'shared', fields: { apiKey: 'sk_live_7f3a9c51e0b24d86' } }],
  })
  const goal = { ...upstream, name: 'reports' }
  const asked = { path: '/echo', method: 'POST', headers: ['Content-Type: application/json'], body: '{}' }
  t.equal((await askBy(t, site, 'gateway', goal, asked)).status, 200)
  t.match(upstream.requests[0], {
    url: '/tenants/sales/echo',
    headers: { 'x-signature': /^[0-9a-f]{64}$/, 'x-request-id': /^[0-9a-f-]{36}$/ },
    body: '{"contact":"nobody@example.com"}',
  })
})
