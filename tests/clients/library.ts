import { NEEDS, type Needs, type Settings } from './needs.ts'

/** A request that a client is told to make. */
export interface Step {
  readonly name: string
  readonly url: string
  /** For the gateway: goes in Locum-Authorization. */
  readonly key?: string
  /** The path of what is uploaded. */
  readonly file?: string
}

/** What came of it: an answer, or what the client said instead. */
export interface Took {
  readonly status?: number
  /** The answer's `X-Echo`. */
  readonly echo?: string
  /** Of a long one the length alone, as `N bytes`. */
  readonly body?: string
  readonly error?: string
}

/** What a client is given beside its steps. */
export interface Given {
  /** What `needs` names, with values. */
  readonly settings: Settings
  /** What it writes in Authorization. */
  readonly authorization: string
  /** Who calls, for a client that is told so in its code. */
  readonly id: string
  readonly key: string
}

/** How a client behaves, each as measured; what is left out is as most do. */
export interface Traits {
  /** It follows redirects, as it is used here. */
  readonly follows: boolean
  /** It asks for plain http in absolute form, or through a tunnel too. */
  readonly plain: 'absolute' | 'tunnel'
  /** Connections to the proxy on which it asks several times: by http, https and at the gateway. */
  readonly keepsAlive: Readonly<Record<'forward' | 'connect' | 'gateway', boolean>>
  /** What it shows of a wrong key, by http, https and at the gateway: the code, but of a client that hides it. */
  readonly onRefused: RegExp
  readonly onRefusedTunnel: RegExp
  readonly onRefusedAtGateway: RegExp
  /** What it shows of a destination that nobody declared, by http and https. */
  readonly onUndeclared: RegExp
  readonly onUndeclaredTunnel: RegExp
}

/** A program or library that people make any request with, driven as they do. */
export interface Library extends Traits {
  readonly id: keyof typeof NEEDS
  readonly needs: Needs
  /** Why it cannot be tried here; undefined where it can. */
  readonly missing: string | undefined
  /** Takes the steps one after the other, as one user's program. */
  take(steps: readonly Step[], given: Given): Promise<ReadonlyMap<string, Took>>
}

const UNAUTHENTICATED = /caller_unauthenticated/
const NOT_FOUND = /connection_not_found/

/** A library with the traits that most have. */
export function library(
  id: Library['id'],
  missing: string | undefined,
  take: Library['take'],
  traits: Partial<Traits> = {},
): Library {
  const keepsAlive = { forward: true, connect: true, gateway: true }
  const usual: Traits = {
    follows: true,
    plain: 'absolute',
    keepsAlive,
    onRefused: UNAUTHENTICATED,
    onRefusedTunnel: UNAUTHENTICATED,
    onRefusedAtGateway: UNAUTHENTICATED,
    onUndeclared: NOT_FOUND,
    onUndeclaredTunnel: NOT_FOUND,
  }
  return { id, needs: NEEDS[id], missing, take, ...usual, ...traits }
}

/** Longer bodies are told by their length alone. */
const LONGEST = 65_536

export function shortened(body: string): string {
  return body.length > LONGEST ? `${body.length} bytes` : body
}

/** Settings as a program gets them: variables, and arguments. */
export function splitSettings(settings: Settings): { env: Record<string, string>; args: string[] } {
  const all = Object.entries(settings)
  return {
    env: Object.fromEntries(all.filter(([name]) => !name.startsWith('-'))),
    args: all.filter(([name]) => name.startsWith('-')).map(([name, value]) => `${name}=${value}`),
  }
}
