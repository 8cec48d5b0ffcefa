import { defineOperation, everybody } from './operation.ts'
import { closed } from './schema.ts'

/** Who somebody is here. */
export interface OwnView {
  readonly id: string
  readonly kind: 'user' | 'service'
  readonly profile?: string
  readonly email?: string
  readonly projects: readonly string[]
  readonly admin: boolean
}

export const showOwn = defineOperation({
  name: 'own.show',
  summary: 'Say who you are here',
  input: closed({}),
  who: everybody,
  run: async ({ as: { id, kind, profile, email, projects, admin } }): Promise<OwnView> => ({
    ...{ id, kind, profile, email, projects, admin },
  }),
})
