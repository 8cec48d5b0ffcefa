import type { CallOutRules } from './call-out.ts'
import type { Secret } from './secret.ts'

/** What somebody should know and do. Never a secret. */
export interface Notice {
  readonly event: 'reauthorization_required'
  readonly provider: string
  readonly connection: string
  readonly credential: string
  /** `user:ID`, or `site`. */
  readonly owner: string
  readonly detail: string
  readonly authorizeUrl: string | undefined
}

/** Where notices go. */
export interface Webhook {
  readonly url: string
  /** Signs what is sent. */
  readonly secret: Secret
  readonly rules: CallOutRules
}
