import Type from 'typebox'
import type { Trust } from '../core/auth-method.ts'
import { LocumError } from '../core/errors.ts'
import type { Proof } from '../core/proving.ts'
import type { Principal, PrincipalRecord } from '../core/words.ts'
import { findUsable } from './connections.ts'
import { administrators, defineOperation, everybody } from './operation.ts'
import { closed, Label, Name } from './schema.ts'

export const testConnection = defineOperation({
  name: 'connection.test',
  summary:
    'Try a connection for somebody: whose credential serves, whether it opens, what is acquired with it',
  input: closed({ name: Name, as: Type.Optional(Label) }),
  who: everybody,
  subject: ({ name, as }) => (as === undefined ? name : `${name} for ${as}`),
  waits: true,
  async run(context, { name, as: id = context.as.id }): Promise<Proof> {
    const { as, store, means } = context
    demandTrying(as, id, as.admin ? await store.principal(as, id) : undefined)
    await findUsable(context, name)
    return means.withProving((proving) => proving.connection(name, id))
  },
})

/** To try is to use. So nobody tries for a user but they themselves and whoever holds the data folder (R28). Throws not_allowed. */
function demandTrying(as: Principal, id: string, record: PrincipalRecord | undefined): void {
  if (as.via === 'local' || as.id === id || record?.kind === 'service') return
  throw new LocumError('not_allowed', `What serves \`${id}\` is not yours to try.`, {
    hint: 'They try it themselves, or whoever holds the data folder does: locum connection test.',
  })
}

export const showTrustPolicy = defineOperation({
  name: 'provider.trust-policy',
  summary: 'Say what an AWS account has to set up before a role can be assumed',
  input: closed({
    name: Name,
    sites: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { maxItems: 100 })),
    principal: Type.Optional(Type.String({ minLength: 1, maxLength: 2048 })),
  }),
  who: administrators,
  run: ({ means }, { name, sites = [], principal }): Promise<Trust> =>
    means.withProving((proving) => proving.trust(name, { sites, principal })),
})
