import type { Test } from 'tap'
import type { TSchema } from 'typebox'
import { type Principal, SYSTEM } from '../../core/words.ts'
import { type CredentialView, setCredential } from '../../operations/credentials.ts'
import { type Operation, runOperation } from '../../operations/operation.ts'
import { addPrincipal } from '../../operations/principals.ts'
import { addMember, addProject } from '../../operations/projects.ts'
import { type Desk, openDesk } from './kit.ts'

export const SECRET = 'the-own-secret-of-ada'

const FILE = `
connections:
  - { name: api, destinations: [https://api.example], auth: { method: api-key }, source: per-user, fallback: [shared], headers: { Authorization: 'Bearer {{$Auth.API_Key}}' } }
  - { name: again, destinations: [https://api.example], auth: { method: api-key }, source: per-user, headers: { Authorization: 'Bearer {{$Auth.API_Key}}' } }
  - { name: other, destinations: [https://other.example], auth: { method: api-key }, source: per-user }
  - { name: crm, destinations: [https://api.example], auth: { method: basic }, source: per-user }
  - { name: closed, destinations: [https://api.example], auth: { method: api-key }, source: per-user, allow: { projects: [west] } }
`

/** Some people at a desk: ada and ben of the project north, eve of none, the service billing, and two administrators. */
export interface People extends Desk {
  /** Whoever shows their key, as they are now. */
  who(id: string): Promise<Principal>
  as<I extends TSchema, O>(id: string, operation: Operation<I, O>, input: unknown): Promise<O>
  /** A credential of their own at `api`. */
  enter(id: string, secret?: string): Promise<CredentialView>
}

export async function openPeople(t: Test): Promise<People> {
  const desk = await openDesk(t)
  const { context, run } = desk
  await desk.apply(FILE)
  for (const id of ['ada', 'ben', 'eve']) await run(addPrincipal, { id })
  for (const id of ['root', 'other-root']) await run(addPrincipal, { id, admin: true })
  await run(addPrincipal, { id: 'billing', kind: 'service' })
  await run(addProject, { name: 'north' })
  for (const id of ['ada', 'ben']) await run(addMember, { project: 'north', id })
  const who = async (id: string): Promise<Principal> => {
    const found = await context.store.principal(SYSTEM, id)
    if (!found) throw new Error(`there is no ${id}`)
    const { kind, profile, email, projects, admin } = found
    return { id, kind, profile, email, projects, admin, via: 'key' }
  }
  const as: People['as'] = async (id, operation, input) =>
    runOperation({ ...context, as: await who(id) }, operation, input)
  return {
    ...desk,
    who,
    as,
    enter: (id, secret = SECRET) =>
      as(id, setCredential, { connection: 'api', for: `user:${id}`, fields: { apiKey: secret } }),
  }
}
