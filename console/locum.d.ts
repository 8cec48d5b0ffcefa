/** Locum in a browser: `import { locum } from 'https://locum.example.com/locum.js'`. */

/** What Locum itself refused. Codes are those of its answers, and `popup_blocked`, `popup_closed`. */
export declare class LocumError extends Error {
  readonly code: string
  /** What to do next. */
  readonly hint?: string
  /** Where the person can put it right: `locum.connect` leads there. */
  readonly authorizeUrl?: string
}

/** A key for this page, as `POST /api/v1/sessions` gives it to a back end. */
export interface PageSession {
  readonly key: string
  readonly expiresAt: string | number
  readonly user?: string
  readonly gateway: string
  /** Connections without authentication, and where they are. */
  readonly direct: Readonly<Record<string, string>>
}

export interface CallInit extends RequestInit {
  /** Not by the gateway: for a connection with the method `none` whose upstream lets pages read it. */
  readonly direct?: boolean
}

export interface OAuth {
  /** What the provider answered, secrets masked. Rejects with credential_missing. */
  getAuthResponse(): Promise<Readonly<Record<string, unknown>>>
  /** Revokes the consent at the provider, where it can be, and forgets it. */
  logout(): Promise<{ readonly ended: boolean; readonly revoked: boolean }>
}

export declare const locum: {
  /** In a pop-up, so from a click. The key serves a quarter of an hour. */
  signIn(): Promise<{ readonly user: string; readonly expiresAt: Date }>
  /** Forgets the key. */
  signOut(): void
  /** Calls with a key that a back end has asked for. */
  use(session: PageSession): void
  /** As `fetch`, to a connection by its name. Rejects with a LocumError where Locum refuses. */
  fetch(connection: string, path?: string, init?: CallInit): Promise<Response>
  /** Has the person consent at a provider, in a pop-up, so from a click. */
  connect(provider: string): Promise<void>
  /** By the name of a provider, or of a connection that has one. */
  oauth(name: string): OAuth
}
