import Type from 'typebox'
import { LocumError } from '../core/errors.ts'
import type { SigningCertificate, SigningKeeper } from '../core/signing-keys.ts'
import { administrators, defineOperation } from './operation.ts'
import { closed, Duration, durationMs, Name } from './schema.ts'

/** What is there of one name, the certificate that signs first. */
export interface SigningRotation {
  readonly changed: boolean
  readonly certificates: readonly SigningCertificate[]
}

/** Over a site's signing certificates. */
export function certOperations(keeper: SigningKeeper) {
  const named = async (store: Parameters<SigningKeeper['list']>[0], name: string) =>
    (await keeper.list(store)).filter((one) => one.name === name)

  return {
    list: defineOperation({
      name: 'cert.ls',
      summary: 'List signing certificates',
      input: closed({}),
      who: administrators,
      run: ({ store }): Promise<readonly SigningCertificate[]> => keeper.list(store),
    }),

    make: defineOperation({
      name: 'cert.new',
      summary: 'Make a signing certificate',
      input: closed({ name: Name, kind: Type.Optional(Type.String({ maxLength: 32 })) }),
      who: administrators,
      subject: ({ name }) => name,
      async run({ store }, { name, kind }): Promise<readonly SigningCertificate[]> {
        await keeper.make(store, name, kind)
        return named(store, name)
      },
    }),

    rotate: defineOperation({
      name: 'cert.rotate',
      summary:
        'Make the next key of a signing certificate, which the other side can be given before it signs',
      input: closed({ name: Name, after: Type.Optional(Duration), now: Type.Optional(Type.Boolean()) }),
      who: administrators,
      subject: ({ name }) => name,
      changed: ({ changed }: SigningRotation) => changed,
      async run({ store, clock }, { name, after, now }): Promise<SigningRotation> {
        if (now && after !== undefined)
          throw new LocumError('bad_request', 'The next one takes over now or after a while, not both.')
        const wait = now ? 0 : after === undefined ? undefined : durationMs(after)
        const changed = await keeper.rotate(store, name, wait === undefined ? undefined : clock.now() + wait)
        return { changed, certificates: await named(store, name) }
      },
    }),

    export: defineOperation({
      name: 'cert.export',
      summary: 'The certificates of a name, without their keys',
      input: closed({ name: Name }),
      who: administrators,
      async run({ store }, { name }): Promise<readonly SigningCertificate[]> {
        const found = await named(store, name)
        if (found.length > 0) return found
        throw new LocumError('bad_request', `There is no signing certificate \`${name}\`.`, {
          hint: '`locum cert ls` lists those that are there.',
        })
      },
    }),
  }
}
