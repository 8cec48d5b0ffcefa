import Type from 'typebox'
import { LocumError } from '../core/errors.ts'
import type { SigningCertificate } from '../core/signing-keys.ts'
import { administrators, type Context, defineOperation } from './operation.ts'
import { closed, Duration, Name, waitOf } from './schema.ts'

/** What is there of one name, the certificate that signs first. */
export interface SigningRotation {
  readonly changed: boolean
  readonly certificates: readonly SigningCertificate[]
}

async function named({ store, means }: Context, name: string): Promise<readonly SigningCertificate[]> {
  return (await means.signing.list(store)).filter((one) => one.name === name)
}

export const listCerts = defineOperation({
  name: 'cert.ls',
  summary: 'List signing certificates',
  input: closed({}),
  who: administrators,
  run: ({ store, means }): Promise<readonly SigningCertificate[]> => means.signing.list(store),
})

export const makeCert = defineOperation({
  name: 'cert.new',
  summary: 'Make a signing certificate',
  input: closed({ name: Name, kind: Type.Optional(Type.String({ maxLength: 32 })) }),
  who: administrators,
  subject: ({ name }) => name,
  async run(context, { name, kind }): Promise<readonly SigningCertificate[]> {
    await context.means.signing.make(context.store, name, kind)
    return named(context, name)
  },
})

export const rotateCert = defineOperation({
  name: 'cert.rotate',
  summary: 'Make the next key of a signing certificate, which the other side can be given before it signs',
  input: closed({ name: Name, after: Type.Optional(Duration), now: Type.Optional(Type.Boolean()) }),
  who: administrators,
  subject: ({ name }) => name,
  changed: ({ changed }: SigningRotation) => changed,
  async run(context, { name, ...when }): Promise<SigningRotation> {
    const { store, clock, means } = context
    const changed = await means.signing.rotate(store, name, waitOf(when, clock.now()))
    return { changed, certificates: await named(context, name) }
  },
})

export const exportCert = defineOperation({
  name: 'cert.export',
  summary: 'The certificates of a name, without their keys',
  input: closed({ name: Name }),
  who: administrators,
  async run(context, { name }): Promise<readonly SigningCertificate[]> {
    const found = await named(context, name)
    if (found.length > 0) return found
    throw new LocumError('not_found', `There is no signing certificate \`${name}\`.`, {
      hint: '`locum cert ls` lists those that are there.',
    })
  },
})
