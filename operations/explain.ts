import Type from 'typebox'
import { namedOf } from '../core/act-for.ts'
import { LocumError } from '../core/errors.ts'
import { type Explanation, explain } from '../core/explain.ts'
import { compileRoute } from '../core/route.ts'
import type { PrincipalRecord } from '../core/words.ts'
import { administrators, defineOperation } from './operation.ts'
import { findPrincipal } from './principals.ts'
import { closed, PrincipalId } from './schema.ts'

export const explainRequest = defineOperation({
  name: 'explain',
  summary: 'Say which connection and whose credential a request would use, and why',
  input: closed({
    method: Type.String({
      pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$",
      expected: 'an HTTP method, such as GET',
    }),
    url: Type.String({
      pattern: '^(?:https?://|/)',
      maxLength: 65_536,
      expected: 'an URL, or /c/NAME/… for the gateway',
    }),
    as: PrincipalId,
    headers: Type.Optional(Type.Array(Type.Array(Type.String(), { minItems: 2, maxItems: 2 }))),
  }),
  who: administrators,
  async run(context, input): Promise<Explanation> {
    const { as, store, methods } = context
    const record = await findPrincipal(context, input.as)
    if (record.disabled) {
      throw new LocumError('caller_unauthenticated', `\`${record.id}\` is disabled and is refused.`, {
        hint: `locum principal enable ${record.id}`,
      })
    }
    if ((await store.keys(as, record.id)).length === 0) {
      context.warn(`${record.id} has no key to call with: locum principal rotate-key ${record.id}`)
    }
    const connections = await store.connections(as)
    return explain({
      method: input.method,
      url: input.url,
      headers: (input.headers ?? []).map(([name, value]) => [name as string, value as string]),
      caller: callerOf(record),
      named: async (id) => {
        const user = await store.principal(as, id)
        return user && !user.disabled ? namedOf(user, callerOf(user), await store.keys(as, id)) : null
      },
      routes: connections.map((connection) => compileRoute(connection, methods)),
      providers: await store.providers(as),
      bound: (place, scopes) => store.bound(as, place, scopes),
    })
  },
})

function callerOf({ id, kind, profile, email, projects, admin, mayActFor }: PrincipalRecord) {
  return {
    principal: { id, kind, profile, email, projects, admin, via: 'key' as const },
    mayActFor: admin ? undefined : mayActFor,
    // Stands for the session of a call that is not made.
    sessionId: 'explained',
  }
}
