import Type from 'typebox'
import type { ExportFormat, TrustedCa } from '../core/ca.ts'
import { administrators, defineOperation } from './operation.ts'
import { closed, Duration, waitOf } from './schema.ts'

/** What a rotation came to. */
export interface Rotation {
  readonly changed: boolean
  /** What clients should trust now, the CA that signs first. */
  readonly trusted: readonly TrustedCa[]
}

/** A CA's certificates as a file; `content` is its bytes in base64. */
export interface ExportedCa {
  readonly format: ExportFormat
  readonly content: string
}

export const showCa = defineOperation({
  name: 'ca.show',
  summary: 'List the CAs that clients should trust now, the one that signs first',
  input: closed({}),
  who: administrators,
  run: ({ store, means }): Promise<readonly TrustedCa[]> => means.ca.describe(store),
})

export const exportCa = defineOperation({
  name: 'ca.export',
  summary: 'The certificates of the CA as a file, never its key',
  input: closed({
    format: Type.Optional(Type.Enum(['pem', 'der', 'p12'])),
    which: Type.Optional(Type.Enum(['all', 'current', 'next'])),
    // Java's tools take no shorter one, and some take no others.
    password: Type.Optional(
      Type.String({
        pattern: '^[\\x20-\\x7e]{6,128}$',
        expected: 'the password of a PKCS #12, 6 to 128 characters of ASCII',
      }),
    ),
  }),
  who: administrators,
  async run({ means }, { format = 'pem', ...options }): Promise<ExportedCa> {
    return { format, content: (await means.ca.export(format, options)).toString('base64') }
  },
})

export const rotateCa = defineOperation({
  name: 'ca.rotate',
  summary: 'Make the next CA, which clients trust beside this one until it takes over',
  input: closed({ after: Type.Optional(Duration), now: Type.Optional(Type.Boolean()) }),
  who: administrators,
  subject: () => 'ca',
  changed: ({ changed }: Rotation) => changed,
  async run({ store, clock, means: { ca } }, when): Promise<Rotation> {
    const changed = await ca.rotate(store, waitOf(when, clock.now()))
    return { changed, trusted: await ca.describe(store) }
  },
})
