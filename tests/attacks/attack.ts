import type { Asked, Entrance, RawClient, RawResponse, TunnelOptions } from '../kit/raw.ts'
import type { Sink } from './sink.ts'

/**
 * What an attack can only be tried with: an entrance, placeholders (not a header that is always set),
 * names looked up where the attack says, or what Locum alone promises.
 */
export type Need = Entrance | 'placeholders' | 'dns' | 'locum'

/** An attack on a proxy that injects secrets, which it is known of by its address alone. */
export interface Attack {
  /** What must hold, as a rule. */
  readonly title: string
  /** The rule of docs/ATTACKS.md: `R1`. */
  readonly rule: string
  /** Where the fault was published: `vm0#14412`. Left out where it never was. */
  readonly published?: string
  readonly needs?: readonly Need[]
  /**
   * Resolves with what went wrong, one sentence each; with none where the rule held. That a secret arrived at
   * a sink that is not its own, that one was handed to the client, and that the proxy is gone, the table
   * finds by itself.
   */
  run(ground: Ground): Promise<readonly string[]>
}

/** What is attacked, and the only upstreams that it is to reach. */
export interface Ground {
  readonly subject: Subject
  /** What is at the proxy's in place of the secret: `<<$Auth.API_Key>>`. */
  readonly placeholder: string
  /** The header line in which a client asks for the secret; empty where the proxy sets it by itself. */
  readonly asks: string
  /** https; gets `secrets.allowed`. */
  readonly allowed: Sink
  /** http; gets `secrets.plain`. */
  readonly plain: Sink
  /** https and http; each gets a secret of its own, so that one that is mistaken for another is seen. */
  readonly other: Sink
  readonly otherPlain: Sink
  /** https and http; the proxy knows neither. */
  readonly stranger: Sink
  readonly strangerPlain: Sink
  readonly sinks: readonly Sink[]
  /** The sink that a client reaches by this entrance without anything odd: http where it speaks in absolute form. */
  by(entrance: Entrance): Sink
  /** A connection to the proxy. Closed with the attack, as whatever else comes from here. */
  dial(): Promise<RawClient>
  /** CONNECT and, unless `plain`, TLS. Rejects with the refusal's status line. */
  tunnel(authority: string, options?: TunnelOptions): Promise<RawClient>
  /** The header line by which the proxy knows the caller, with its CRLF; empty where it asks for none. */
  key(entrance: Entrance): string
  send(entrance: Entrance, to: Sink, asked?: Asked): Promise<RawClient>
  ask(entrance: Entrance, to: Sink, asked?: Asked): Promise<RawResponse>
  teardown(work: () => unknown): void
}

/** A proxy that runs. */
export interface Subject {
  readonly name: string
  readonly version: string
  readonly port: number
  /** PEM of the CA with which it intercepts. */
  readonly ca: string
  /** Its callers' proxy keys; none where it asks nobody. */
  readonly keys: Readonly<Record<string, string>>
  readonly offers: ReadonlySet<Need>
}
