import type { KeyObject } from 'node:crypto'
import type { Store } from './store.ts'

/** A key with which a method signs. */
export interface SigningKey {
  readonly privateKey: KeyObject
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string
}

/** The site's signing certificates. */
export interface SigningKeys {
  /** That of the name, or the default one. Throws refresh_failed where there is none, internal. */
  key(name: string | undefined): Promise<SigningKey>
}

/** A signing certificate, without its key. Times are Unix ms. */
export interface SigningCertificate {
  readonly name: string
  readonly role: 'signs' | 'next'
  /** `rsa-2048`, `ec-p256`, `ed25519`… */
  readonly kind: string
  readonly kid: string
  /** SHA-256 of the certificate, upper-case hex with colons. */
  readonly fingerprint: string
  readonly validUntil: number
  /** Of the next one: when it takes over. */
  readonly signsFrom?: number
  readonly pem: string
}

/** What can be asked and done about signing certificates. */
export interface SigningKeeper {
  /** By name; of each the one that signs first. */
  list(store: Store): Promise<readonly SigningCertificate[]>
  /** Throws bad_request where there is one of that name, or no such kind. */
  make(store: Store, name: string, kind?: string): Promise<void>
  /**
   * Makes the one that takes over at `signsFrom` (Unix ms; in a week unless told), or moves the date of the one that
   * waits. False where nothing changed. Throws bad_request.
   */
  rotate(store: Store, name: string, signsFrom: number | undefined): Promise<boolean>
}
