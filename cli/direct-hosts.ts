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

/** Whether a program may take an entry for one that a destination is under, by the widest reading that there is. */
function covers(entry: string, { host, wildcard }: Destination): boolean {
  const name = host.replace(/^\*\.|^\[|\]$/g, '')
  if (entry === '*') return true
  const [network, length] = entry.split('/')
  if (length !== undefined) return isWithin(name, network as string, Number(length))
  const bare = entry
    .toLowerCase()
    .replace(/^\[([^\]]*)\](?::\d+)?$/, '$1')
    .replace(/^([^:]*):\d+$/, '$1')
    .replace(/^(?:\*?\.)+/, '')
    .replace(/\.$/, '')
  if (name === bare || name.endsWith(`.${bare}`)) return true
  return wildcard && bare.endsWith(`.${name}`)
}

function isWithin(address: string, network: string, length: number): boolean {
  const family = isIP(network)
  if (family === 0 || family !== isIP(address) || !(length >= 0 && length <= (family === 4 ? 32 : 128)))
    return false
  const list = new BlockList()
  list.addSubnet(network, length, family === 4 ? 'ipv4' : 'ipv6')
  return list.check(address, family === 4 ? 'ipv4' : 'ipv6')
}
