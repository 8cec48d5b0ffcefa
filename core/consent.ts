import type { ConsentScopes, DeviceCode, Grant } from './auth-method.ts'
import type { Principal, Scope } from './words.ts'

/** A provider, as whoever consents sees it. */
export interface ConsentView {
  readonly provider: string
  readonly way: 'redirect' | 'fragment' | 'device'
  readonly scopes: ConsentScopes
  /** What it will be used for. */
  readonly connections: readonly { readonly name: string; readonly destinations: readonly string[] }[]
}

/** Who consents, to what, for whom. */
export interface ConsentRequest {
  readonly provider: string
  readonly scope: Scope
  /** Who does it, for the audit. */
  readonly by: Principal
  /** Of the optional scopes those that are wanted; all unless told. */
  readonly scopes?: readonly string[]
}

/** What was consented to. */
export interface ConsentDone {
  readonly provider: string
  readonly scope: Scope
  readonly credential: string
  /** What the page that asked for it wanted back. */
  readonly opener: string | undefined
}

/** Somebody's right to consent once, without showing who they are. */
export type Ticket = Omit<ConsentRequest, 'scopes'>

/** People's consent at providers: asked for, and kept as a credential of whoever gave it (R22). */
export interface Consenting {
  /** Throws bad_request where there is no such provider, or it is not by consent. */
  view(provider: string): Promise<ConsentView>
  /**
   * Where a browser is sent. `session`: the browser's own, without which the answer is good for nothing; `opener`:
   * the origin of the page that is told. Throws bad_request, refresh_failed.
   */
  begin(
    x: ConsentRequest & { session: string; redirectUri: string; opener?: string },
  ): Promise<{ url: string; way: 'redirect' | 'fragment' }>
  /**
   * Takes the answer with which a browser came back, once. Throws bad_request where it is none to a question of this
   * session, refresh_failed where the provider refused.
   */
  complete(x: { state: string; sessions: readonly string[]; answer: URL }): Promise<ConsentDone>
  /** For a link that can be handed to somebody; good for ten minutes, once. */
  ticket(x: ConsentRequest): Promise<string>
  /** What it is good for, which it stays. Throws bad_request. */
  seeTicket(token: string): Promise<Ticket>
  /** Throws bad_request. */
  takeTicket(token: string): Promise<Ticket>
  /** What a person types, and where. Throws bad_request, refresh_failed. */
  beginDevice(x: Omit<ConsentRequest, 'by'>): Promise<DeviceCode>
  /** Asks until the person has answered. `pause`: waits so many ms, or rejects. Throws refresh_failed. */
  awaitDevice(
    x: ConsentRequest,
    code: DeviceCode,
    pause: (ms: number) => Promise<unknown>,
  ): Promise<Omit<ConsentDone, 'opener'>>
  /** What is kept of a consent, for whom it is: undefined where there is none. */
  held(provider: string, scope: Scope): Promise<Grant | undefined>
  /**
   * Ends a consent: at the provider, where it has a place for that, and here in any case. `revoked`: whether the provider
   * has taken it.
   */
  end(x: Omit<ConsentRequest, 'scopes'>): Promise<{ ended: boolean; revoked: boolean }>
}
