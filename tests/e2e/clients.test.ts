import t from 'tap'
import { ENTRANCES } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'
import { CLIENTS, type Got, pathOf } from './clients.ts'

const SECRETS = {
  ada: 'ada-own-key-4f1c9d27',
  ben: 'sales-profile-key-88a1',
  cleo: 'shared-site-key-0b7e35',
} as const
type Who = keyof typeof SECRETS
const SCOPES: Readonly<Record<Who, string>> = { ada: 'user:ada', ben: 'profile:sales', cleo: 'shared' }

const upstream = await startUpstream(t)
const site = await startSite(t, {
  principals: [
    { id: 'ada', kind: 'user', profile: 'sales' },
    { id: 'ben', kind: 'user', profile: 'sales' },
    { id: 'cleo', kind: 'user', profile: 'support' },
  ],
  connections: [
    {
      name: 'echo',
      destinations: [upstream.origin],
      ca: upstream.ca,
      allowPrivateNetwork: true,
      auth: { method: 'api-key' },
      source: 'per-user',
      fallback: ['profile', 'shared'],
    },
  ],
  credentials: (Object.keys(SECRETS) as Who[]).map((who) => ({
    connection: 'echo',
    for: SCOPES[who],
    fields: { apiKey: SECRETS[who] },
  })),
})
const goal = { ...upstream, name: 'echo' }

for (const client of CLIENTS) {
  t.test(
    `${client.name} reaches an https upstream through every entrance, with whose credential serves it`,
    { skip: client.missing ?? false },
    async (t) => {
      const jobs = ENTRANCES.flatMap((entrance) =>
        (Object.keys(SECRETS) as Who[]).map((as) => ({ entrance, as })),
      )
      const answers = await Promise.all(jobs.map((job) => client.ask(site, goal, job)))
      for (const [i, job] of jobs.entries()) {
        const secret = SECRETS[job.as]
        const got = answers[i] as Got
        const label = `${job.as} by ${job.entrance}`
        t.equal(got.status, 200, label)
        const seen = upstream.requests.filter(({ url }) => url === pathOf(client, job))
        t.equal(seen.length, 1, `${label}: one request`)
        t.equal(
          seen[0]?.headers.authorization,
          `Bearer ${secret}`,
          `${label}: the upstream got the real value`,
        )
        const names = Object.keys(seen[0]?.headers ?? {}).join()
        t.notMatch(names, /proxy-|locum/, `${label}: nothing that speaks to Locum goes on`)
        const mask = `Bearer ${'*'.repeat(secret.length)}`
        t.equal(JSON.parse(got.body).headers.authorization, mask, `${label}: the echo in the body is masked`)
        t.equal(got.echo, mask, `${label}: the echo in a header is masked`)
      }
    },
  )
}

t.test('the audit has every use with its outcome, holds no secret, and verifies', async (t) => {
  const records = await site.audit()
  const tried = CLIENTS.filter((client) => client.missing === undefined).length
  for (const who of Object.keys(SECRETS) as Who[]) {
    const uses = records.filter((record) => record.event === 'use' && record.caller === who)
    t.equal(uses.length, tried * ENTRANCES.length, who)
    t.ok(
      uses.every((use) => use.scope === SCOPES[who] && use.connection === 'echo'),
      `${who}: whose credential`,
    )
    for (const use of uses) {
      const outcome = records.find((record) => record.event === 'outcome' && record.request === use.request)
      t.match(outcome, { status: 200, masked: 2 })
    }
  }
  const text = JSON.stringify(records)
  for (const secret of [...Object.values(SECRETS), ...Object.values(site.keys)])
    t.notOk(text.includes(secret))
  t.strictSame(await site.verify(), [])
})
