/** How a request of Locum's own may leave: one of a method to a token endpoint, say. */
export interface CallOutRules {
  /** Loopback, private, link-local and metadata addresses too. */
  readonly allowPrivateNetwork?: boolean
  /** `http:` too. */
  readonly allowPlaintext?: boolean
  /** PEM. Replaces the default roots. */
  readonly ca?: string
  /** PEM: the certificate that is shown, with its key. */
  readonly identity?: { readonly cert: string; readonly key: string }
}

/**
 * `fetch` under rules: by the way of every upstream (the judged address, the egress proxy), no redirect
 * followed, the answer at most 1 MiB and not encoded. Rejects with destination_forbidden where the rules do not
 * let it leave; refresh_failed where there is no whole answer; and the signal's reason.
 */
export type CallOut = (rules: CallOutRules) => typeof globalThis.fetch
