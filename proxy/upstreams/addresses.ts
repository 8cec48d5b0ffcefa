import { networkInterfaces } from 'node:os'
import { comparableAddress, judgeAddress, mayDial } from '../../core/addresses.ts'
import { LocumError } from '../../core/errors.ts'

/** Every address of a name, best first, as `lookup` of `node:dns/promises` with `all` gives them. Rejects with a resolver's `code` (ENOTFOUND, EAI_AGAIN…). */
export type Lookup = (name: string) => Promise<readonly { readonly address: string }[]>

/** The addresses of this host's interfaces. */
export function systemAddresses(): string[] {
  const found: string[] = []
  for (const entries of Object.values(networkInterfaces())) {
    // A zone is no part of an address.
    for (const entry of entries ?? []) found.push(entry.address.split('%')[0] as string)
  }
  return found
}

export interface Listener {
  /** As `server.address()` tells it; `0.0.0.0` and `::` are every address of this host. */
  readonly address: string
  readonly port: number
}

export const LOCAL_ADDRESSES: readonly string[] = ['127.0.0.1', '::1']

export interface NetworkRules {
  readonly allowPrivateNetwork: boolean
  /** Locum's own listeners: a request to one would come back. */
  readonly ownListeners: readonly Listener[]
  readonly localAddresses: () => readonly string[]
}

/**
 * Judges every address of a host: one that is refused refuses them all, since whoever answers for the
 * name chose it (R14, R15). Throws destination_forbidden; the address itself is not told.
 */
export function judgeAddresses(addresses: readonly string[], port: number, rules: NetworkRules): void {
  for (const address of addresses) {
    const kind = judgeAddress(address)
    if (!mayDial(kind, rules.allowPrivateNetwork)) {
      const extras = mayDial(kind, true)
        ? { hint: 'Where that is meant, set `allowPrivateNetwork: true` on the connection.' }
        : {}
      throw new LocumError('destination_forbidden', `The address is not a public one (${kind}).`, extras)
    }
    if (isOwnListener(address, port, rules)) {
      throw new LocumError('destination_forbidden', 'This is a listener of Locum itself.')
    }
  }
}

function isOwnListener(address: string, port: number, rules: NetworkRules): boolean {
  const asked = comparableAddress(address)
  let local: boolean | undefined
  for (const listener of rules.ownListeners) {
    if (listener.port !== port) continue
    const own = comparableAddress(listener.address)
    if (own === asked) return true
    if (own === undefined || judgeAddress(listener.address) !== 'unspecified') continue
    local ??= isLocal(address, asked, rules)
    if (local) return true
  }
  return false
}

function isLocal(address: string, comparable: string | undefined, rules: NetworkRules): boolean {
  if (judgeAddress(address) === 'loopback') return true
  return rules.localAddresses().some((own) => comparableAddress(own) === comparable)
}

/** Alternates the families, starting with that of the first (RFC 8305 §4). Keeps the order within each. */
export function interleave(addresses: readonly string[]): string[] {
  const isSix = (address: string) => address.includes(':')
  const first = addresses.filter((address) => isSix(address) === isSix(addresses[0] as string))
  const second = addresses.filter((address) => isSix(address) !== isSix(addresses[0] as string))
  const order: string[] = []
  for (let i = 0; i < first.length || i < second.length; i++) {
    if (i < first.length) order.push(first[i] as string)
    if (i < second.length) order.push(second[i] as string)
  }
  return order
}
