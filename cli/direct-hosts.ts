import { BlockList, isIP } from 'node:net'
import type { Destination } from '../core/destination.ts'

/** Programs talk to others on their own machine: a test to its server, an editor to its language server. */
const THIS_MACHINE = ['localhost', '127.0.0.1', '::1']

/**
 * The hosts that a program reaches directly (NO_PROXY): this machine, and what was direct before, without
 * every entry that covers a host that a connection names, which would let a request pass Locum by.
 * `dropped` are those of `before`.
 */
export function directHosts(
  before: string | undefined,
  destinations: readonly Destination[],
): { direct: string[]; dropped: string[] } {
  const entries = (before ?? '').split(/[\s,]+/).filter((entry) => entry !== '')
  const reached = (entry: string) => destinations.some((destination) => covers(entry, destination))
  return {
    direct: [...new Set([...THIS_MACHINE, ...entries])].filter((entry) => !reached(entry)),
    dropped: entries.filter(reached),
  }
}

/**
 * Whether a program may take an entry for one that a destination is under, by the widest reading that there
 * is: requests compares the ends of texts, whatever a label is; Node takes `10.0.0.1-10.0.0.9`; axios and
 * .NET take a `*` anywhere.
 */
function covers(entry: string, { host, wildcard }: Destination): boolean {
  const name = host.replace(/^\*\.|^\[|\]$/g, '')
  const [network, length] = entry.split('/')
  if (length !== undefined) return isWithin(name, network as string, Number(length))
  const [first, last] = entry.split('-')
  if (last !== undefined && isIP(first as string)) return isBetween(name, first as string, last)
  const bare = entry
    .toLowerCase()
    .replace(/^\[([^\]]*)\](?::\d+)?$/, '$1')
    .replace(/^([^:]*):\d+$/, '$1')
    .replace(/^(?:\*?\.)+/, '')
    .replace(/\.$/, '')
  const end = bare
    .split('*')
    .map((text) => text.replace(/[^a-z0-9]/g, '\\$&'))
    .join('.*')
  return new RegExp(`${end}$`).test(name) || (wildcard && bare.endsWith(`.${name}`))
}

const FAMILY = { 4: 'ipv4', 6: 'ipv6' } as const

function isWithin(address: string, network: string, length: number): boolean {
  const family = isIP(network)
  if (family === 0 || family !== isIP(address) || !(length >= 0 && length <= (family === 4 ? 32 : 128)))
    return false
  const list = new BlockList()
  list.addSubnet(network, length, FAMILY[family as 4 | 6])
  return list.check(address, FAMILY[family as 4 | 6])
}

function isBetween(address: string, first: string, last: string): boolean {
  const family = isIP(first)
  if (family === 0 || family !== isIP(last) || family !== isIP(address)) return false
  const list = new BlockList()
  try {
    list.addRange(first, last, FAMILY[family as 4 | 6])
  } catch {
    // The last stands before the first: it holds no address.
    return false
  }
  return list.check(address, FAMILY[family as 4 | 6])
}
