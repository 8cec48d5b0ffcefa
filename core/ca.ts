import type { Store } from './store.ts'

/** One of the CAs that clients should trust now. Times are Unix ms. */
export interface TrustedCa {
  readonly role: 'signs' | 'next'
  readonly subject: string
  /** SHA-256 of the certificate, upper-case hex with colons. */
  readonly fingerprint: string
  readonly validUntil: number
  /** Of the next one: when it takes over. */
  readonly signsFrom?: number
}

/** How a CA's certificate can leave: PEM for most tools, DER for Windows and phones, PKCS #12 for Java. */
export type ExportFormat = 'pem' | 'der' | 'p12'

/** Which of the CAs: all that clients should trust now, the one that signs, or the one that will. */
export type ExportWhich = 'all' | 'current' | 'next'

export interface ExportOptions {
  /** All unless told. */
  readonly which?: ExportWhich
  /** Of a PKCS #12; Java's own default unless told. */
  readonly password?: string
}

/** What can be asked and done about the site's CA. */
export interface CaKeeper {
  /** The CAs that clients should trust now, the one that signs first; none where there is none yet. */
  describe(store: Store): Promise<readonly TrustedCa[]>
  /**
   * Makes the CA that is to take over at `signsFrom` (Unix ms), or moves the date of the one that waits:
   * a date that has come lets it sign at once. Without one, the usual overlap for a new CA, and nothing
   * for one that waits. False where nothing changed. Throws bad_request.
   */
  rotate(store: Store, signsFrom: number | undefined): Promise<boolean>
  /** The CA's certificates, of a CA that is made where there is none. Throws bad_request where the format does not take what was chosen. */
  export(format: ExportFormat, options?: ExportOptions): Promise<Buffer>
}
