import t from 'tap'
import type { TSchema } from 'typebox'
import { SYSTEM } from '../../core/words.ts'
import { disableCredential, setCredential } from '../../operations/credentials.ts'
import { acceptCredential, giveCredential } from '../../operations/hand-over.ts'
import { type Operation, runOperation } from '../../operations/operation.ts'
import { addPrincipal, revokePrincipal } from '../../operations/principals.ts'
import { addMember, addProject, removeMember, removeProject } from '../../operations/projects.ts'
import { shareCredential, unshareCredential, useCredential } from '../../operations/sharing.ts'
import { ASKS, connectionTo } from '../kit/echo-site.ts'
import { askBy, ENTRANCES, openTunnel, type RawResponse } from '../kit/raw.ts'
import { startSite, type Teardown } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

const code = ({ body }: RawResponse): unknown => JSON.parse(body).code
const SECRET = 'the-own-secret-of-ada'

/** Ada has a credential of her own and shares it with the project north, from which Ben has chosen it. */
async function openSite(t: Teardown) {
  const upstream = await startUpstream(t)
  const started = await startSite(t, {
    connections: [connectionTo(upstream, { source: 'per-user', fallback: ['shared'] })],
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: 'the-key-for-everybody' } }],
  })
  const keys: Record<string, string> = {}
  for (const id of ['ada', 'ben', 'eve']) keys[id] = (await started.run(addPrincipal, { id })).key
  const site = { ...started, keys }
  const { store } = site.context
  const as = async <I extends TSchema, O>(id: string, operation: Operation<I, O>, input: unknown) => {
    const found = await store.principal(SYSTEM, id)
    if (!found) throw new Error(`there is no ${id}`)
    const { kind, projects, admin } = found
    const output = await runOperation(
      { ...site.context, as: { id, kind, projects, admin, via: 'key' } },
      operation,
      input,
    )
    await site.settle()
    return output
  }
  await site.run(addProject, { name: 'north' })
  for (const id of ['ada', 'ben']) await site.run(addMember, { project: 'north', id })
  const entered = { connection: 'echo', for: 'user:ada', fields: { apiKey: SECRET } }
  const { id } = await as('ada', setCredential, entered)
  await as('ada', shareCredential, { id, project: 'north' })
  await as('ben', useCredential, { id, connection: 'echo', for: 'user:ben' })
  const goal = { ...upstream, name: 'echo' }
  const ask = (who: string, entrance: (typeof ENTRANCES)[number] = 'forward') =>
    askBy(t, site, entrance, goal, { as: who, headers: [ASKS] })
  const seen = () => upstream.requests.at(-1)?.headers.authorization
  return { site, upstream, goal, as, id, ask, seen }
}

t.test('a member is served with what is shared with them, and the audit says with whose', async (t) => {
  const { site, ask, seen, id } = await openSite(t)
  for (const entrance of ENTRANCES) {
    const answer = await ask('ben', entrance)
    t.equal(answer.status, 200, entrance)
    t.equal(seen(), `Bearer ${SECRET}`)
    t.notMatch(answer.body, SECRET, 'what comes back is masked for them too')
    t.equal((await ask('eve', entrance)).status, 200)
    t.equal(seen(), 'Bearer the-key-for-everybody', 'who is no member has what everybody has')
  }
  const uses = (await site.audit()).filter(({ event, caller }) => event === 'use' && caller === 'ben')
  t.equal(uses.length, ENTRANCES.length)
  for (const use of uses) t.match(use, { credential: id, scope: 'user:ben', actor: 'human' })
})

t.test(
  'use ends at once with membership, share, project, credential or owner, whatever is held open',
  async (t) => {
    type Site = Awaited<ReturnType<typeof openSite>>
    const ends: Record<string, [string, (x: Site) => Promise<unknown>]> = {
      'a member taken out': [
        'not_allowed',
        ({ site }) => site.run(removeMember, { project: 'north', id: 'ben' }),
      ],
      'no longer shared': [
        'not_allowed',
        ({ as, id }) => as('ada', unshareCredential, { id, project: 'north' }),
      ],
      'the project gone': ['not_allowed', ({ site }) => site.run(removeProject, { name: 'north' })],
      'stopped by its owner': ['credential_missing', ({ as, id }) => as('ada', disableCredential, { id })],
      'its owner revoked': ['credential_missing', ({ site }) => site.run(revokePrincipal, { id: 'ada' })],
    }
    for (const [how, [refused, end]] of Object.entries(ends)) {
      const x = await openSite(t)
      const tunnel = await openTunnel(t, x.site, x.goal.authority, { as: 'ben' })
      const askInside = async () => {
        tunnel.send(`GET / HTTP/1.1\r\nHost: ${x.goal.authority}\r\n${ASKS}\r\n\r\n`)
        return tunnel.response()
      }
      t.equal((await askInside()).status, 200)
      const before = x.upstream.requests.length
      await end(x)
      await x.site.settle()
      if (!tunnel.ended) t.equal(code(await askInside()), refused, `${how}: within a tunnel`)
      for (const entrance of ENTRANCES)
        t.equal(code(await x.ask('ben', entrance)), refused, `${how}: ${entrance}`)
      t.equal(x.upstream.requests.length, before, `${how}: nothing left, not with what everybody has either`)
    }
  },
)

t.test('who was handed a credential is served with it, and who gave it no more', async (t) => {
  const { as, id, ask, seen } = await openSite(t)
  await as('ada', giveCredential, { id, to: 'eve' })
  await ask('eve')
  t.equal(seen(), 'Bearer the-key-for-everybody', 'an offer serves nobody')
  await as('eve', acceptCredential, { id })
  t.equal((await ask('eve')).status, 200)
  t.equal(seen(), `Bearer ${SECRET}`)
  t.equal((await ask('ben')).status, 200)
  t.equal(seen(), `Bearer ${SECRET}`, 'it is still shared with the project')
  t.equal((await ask('ada')).status, 200, 'of which she is a member')
  await as('eve', unshareCredential, { id, project: 'north' })
  t.equal(code(await ask('ada')), 'not_allowed')
  t.equal(code(await ask('ben')), 'not_allowed')
})
