import type { Destination } from '../../core/destination.ts'
import type { LocumError } from '../../core/errors.ts'
import type { BodySource, ResponseHead, Tunnel } from '../wire/message.ts'

/** Where a request goes, and which connections may carry it. Kept and passed again, it costs least. */
export interface UpstreamSpec {
  /** Destination, TLS settings and credential id: a connection serves one key only (R10). */
  readonly key: string
  /** Exact, no wildcard. */
  readonly destination: Destination
  /** PEM. Replaces the default roots. */
  readonly ca?: string
  /** PEM: the certificate that Locum shows, with its key. */
  readonly identity?: { readonly cert: string; readonly key: string }
  readonly allowPrivateNetwork: boolean
  /** Whose look-ups wait for each other; the key unless told. */
  readonly group?: string
  /** Bytes pass as they are, whatever the scheme: no TLS of ours, and the other side may speak first. */
  readonly raw?: boolean
}

/** What becomes of a request. Exactly one of the last three comes, perhaps before `send` returns. */
export interface UpstreamHandler {
  /** A 1xx other than 100 and 101. */
  informational(head: ResponseHead): void
  response(head: ResponseHead, body: BodySource): void
  /** From now on the tunnel is the handler's. */
  upgraded(head: ResponseHead, tunnel: Tunnel): void
  /**
   * There is no response. Codes: destination_forbidden, upstream_unreachable, upstream_tls,
   * upstream_invalid, upstream_timeout, overloaded; bad_request where the head cannot be written or the
   * request's body broke off; internal where a key stands for two upstreams.
   */
  failed(error: LocumError): void
}

/** A request on its way. */
export interface Sending {
  /**
   * The client is gone: the upstream connection is destroyed, or the place in the queue given up.
   * The handler hears no more. After the whole response it does nothing.
   */
  abort(): void
}

/** Whether what was connected for one serves the other too. */
export function sameUpstream(a: UpstreamSpec, b: UpstreamSpec): boolean {
  if (a === b) return true
  return (
    a.key === b.key &&
    a.destination.host === b.destination.host &&
    a.destination.port === b.destination.port &&
    a.destination.scheme === b.destination.scheme &&
    a.ca === b.ca &&
    a.identity?.cert === b.identity?.cert &&
    a.allowPrivateNetwork === b.allowPrivateNetwork
  )
}
