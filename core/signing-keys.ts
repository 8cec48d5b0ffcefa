import type { KeyObject } from 'node:crypto'

/** A key with which a method signs. */
export interface SigningKey {
  readonly privateKey: KeyObject
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string
}

/** The site's signing certificates. */
export interface SigningKeys {
  /** That of the name, or the default one. Throws bad_request where there is none. */
  key(name: string | undefined): Promise<SigningKey>
}
