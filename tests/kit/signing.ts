import type { SigningKeys } from '../../core/signing-keys.ts'

/** Where nothing is signed. */
export const noSigningKeys: SigningKeys = {
  key: async () => {
    throw new Error('nothing is signed here')
  },
}
