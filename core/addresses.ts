/**
 * What an IP address is, judged from its number alone. The ranges are those of the IANA special-purpose
 * registries (RFC 6890, RFC 8190), the metadata addresses those that the clouds document.
 *
 * `translated` is an IPv6 address that carries a public IPv4 one (mapped, NAT64, 6to4, Teredo…): where it
 * carries another, it is judged as the one it carries. `invalid` is no address, or one with a zone.
 */
export type AddressKind =
  | 'public'
  | 'loopback'
  | 'private'
  | 'link-local'
  | 'metadata'
  | 'cgnat'
  | 'multicast'
  | 'broadcast'
  | 'unspecified'
  | 'benchmarking'
  | 'documentation'
  | 'reserved'
  | 'translated'
  | 'invalid'

/** Most exact first: the first range that holds the address decides. */
const IPV4_RANGES = (
  [
    ['169.254.169.254', 32, 'metadata'], // AWS, Google, Azure, and most others
    ['169.254.170.2', 32, 'metadata'], // AWS ECS task roles
    ['169.254.170.23', 32, 'metadata'], // AWS EKS pod identities
    ['100.100.100.200', 32, 'metadata'], // Alibaba
    ['168.63.129.16', 32, 'metadata'], // Azure's wire server
    ['192.0.0.192', 32, 'metadata'], // Oracle, old
    ['0.0.0.0', 8, 'unspecified'], // RFC 791 §3.2; Linux takes 0.0.0.0 for itself
    ['10.0.0.0', 8, 'private'],
    ['100.64.0.0', 10, 'cgnat'], // RFC 6598
    ['127.0.0.0', 8, 'loopback'],
    ['169.254.0.0', 16, 'link-local'],
    ['172.16.0.0', 12, 'private'],
    ['192.0.0.0', 24, 'reserved'], // RFC 6890 §2.1
    ['192.0.2.0', 24, 'documentation'],
    ['192.88.99.0', 24, 'reserved'], // RFC 7526, once the 6to4 relays
    ['192.168.0.0', 16, 'private'],
    ['198.18.0.0', 15, 'benchmarking'], // RFC 2544
    ['198.51.100.0', 24, 'documentation'],
    ['203.0.113.0', 24, 'documentation'],
    ['224.0.0.0', 4, 'multicast'],
    ['255.255.255.255', 32, 'broadcast'],
    ['240.0.0.0', 4, 'reserved'],
  ] as const
).map(([base, bits, kind]) => {
  const mask = bits === 32 ? 0xffffffff : ~(0xffffffff >>> bits) >>> 0
  return { base: parseIpv4(base) as number, mask, kind }
})

const IPV6_RANGES = (
  [
    ['fd00:ec2::254', 128, 'metadata'], // AWS
    ['fd00:ec2::23', 128, 'metadata'], // AWS EKS pod identities
    ['fd20:ce::254', 128, 'metadata'], // Google
    ['fd00:c1::a9fe:a9fe', 128, 'metadata'], // Oracle
    ['::', 128, 'unspecified'],
    ['::1', 128, 'loopback'],
    ['2001::', 23, 'reserved'], // RFC 2928, with benchmarking and ORCHID
    ['2001:db8::', 32, 'documentation'],
    ['3fff::', 20, 'documentation'], // RFC 9637
    ['fc00::', 7, 'private'], // RFC 4193
    ['fe80::', 10, 'link-local'],
    ['fec0::', 10, 'private'], // RFC 3879, once site-local
    ['ff00::', 8, 'multicast'],
    ['2000::', 3, 'public'], // the only range that is given out (RFC 4291 §2.4)
    ['::', 0, 'reserved'],
  ] as const
).map(([base, bits, kind]) => ({ base: parseIpv6(base) as number[], bits, kind }))

/** Names that are this host without asking DNS (RFC 6761 §6.3); `host` is canonical. */
export function isLocalName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost')
}

/** What `ip` is: four decimal parts, or IPv6 without brackets. Never throws. */
export function judgeAddress(ip: string): AddressKind {
  const ipv4 = parseIpv4(ip)
  if (ipv4 !== undefined) return judgeIpv4(ipv4)
  const ipv6 = parseIpv6(ip)
  if (ipv6 === undefined) return 'invalid'
  const carried = carriedIpv4(ipv6)
  for (const address of carried) {
    const kind = judgeIpv4(address)
    if (kind !== 'public') return kind
  }
  return carried.length > 0 ? 'translated' : judgeIpv6(ipv6)
}

/** Whether an address of that kind may be dialled (R15). Some never may, whatever a connection says. */
export function mayDial(kind: AddressKind, allowPrivateNetwork: boolean): boolean {
  if (kind === 'public') return true
  return (
    allowPrivateNetwork &&
    kind !== 'multicast' &&
    kind !== 'broadcast' &&
    kind !== 'unspecified' &&
    kind !== 'invalid'
  )
}

/**
 * One text for each place that a packet can go to: IPv4 in four decimal parts, also where IPv6 carries
 * it; other IPv6 as eight full groups. Undefined where `ip` is no address. For comparing, not for showing.
 */
export function comparableAddress(ip: string): string | undefined {
  const ipv4 = parseIpv4(ip)
  if (ipv4 !== undefined) return ip
  const ipv6 = parseIpv6(ip)
  if (ipv6 === undefined) return undefined
  const carried = carriedIpv4(ipv6)[0]
  if (carried === undefined) return ipv6.map((group) => group.toString(16).padStart(4, '0')).join(':')
  return [carried >>> 24, (carried >>> 16) & 255, (carried >>> 8) & 255, carried & 255].join('.')
}

/** An address, or all that begin with the same bits; IPv4 as IPv6 has it mapped. */
export interface AddressRange {
  readonly groups: readonly number[]
  readonly bits: number
  /** Written as IPv6: such a one holds no plain IPv4 address. */
  readonly ipv6: boolean
}

/** `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`; undefined where the text is none. Bits beyond the prefix do not count. */
export function parseRange(text: string): AddressRange | undefined {
  const [, address, length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const groups = address === undefined ? undefined : mappedGroups(address)
  if (groups === undefined) return undefined
  const ipv6 = address?.includes(':') === true
  const most = ipv6 ? 128 : 32
  const bits = length === undefined ? most : Number(length)
  return bits <= most ? { groups, bits: bits + 128 - most, ipv6 } : undefined
}

/** Whether `ip`, an address without brackets, is in the range. */
export function inRange(range: AddressRange, ip: string): boolean {
  if (range.ipv6 && !ip.includes(':')) return false
  const groups = mappedGroups(ip)
  return groups !== undefined && startsAlike(groups, range.groups, range.bits)
}

function mappedGroups(ip: string): number[] | undefined {
  const ipv4 = parseIpv4(ip)
  return ipv4 === undefined ? parseIpv6(ip) : [0, 0, 0, 0, 0, 0xffff, ipv4 >>> 16, ipv4 & 0xffff]
}

function judgeIpv4(address: number): AddressKind {
  for (const { base, mask, kind } of IPV4_RANGES) if ((address & mask) >>> 0 === base) return kind
  return 'public'
}

function judgeIpv6(groups: readonly number[]): AddressKind {
  for (const { base, bits, kind } of IPV6_RANGES) if (startsAlike(groups, base, bits)) return kind
  return 'reserved'
}

function startsAlike(a: readonly number[], b: readonly number[], bits: number): boolean {
  for (let i = 0, left = bits; left > 0; i++, left -= 16) {
    const drop = left >= 16 ? 0 : 16 - left
    if ((a[i] as number) >>> drop !== (b[i] as number) >>> drop) return false
  }
  return true
}

/** The IPv4 addresses that an IPv6 one carries, the one that packets reach first. */
function carriedIpv4(groups: readonly number[]): number[] {
  const at = (i: number) => (((groups[i] as number) << 16) | (groups[i + 1] as number)) >>> 0
  const zeros = (from: number, to: number) => groups.slice(from, to).every((group) => group === 0)
  if (zeros(0, 4)) {
    // Mapped (RFC 4291 §2.5.5.2), translated (RFC 2765 §2.1), compatible (RFC 4291 §2.5.5.1).
    const mapped = groups[4] === 0 && groups[5] === 0xffff
    const translated = groups[4] === 0xffff && groups[5] === 0
    const compatible = zeros(4, 6) && at(6) > 1
    if (mapped || translated || compatible) return [at(6)]
  }
  if (groups[0] === 0x64 && groups[1] === 0xff9b) {
    // NAT64: the well-known prefix (RFC 6052 §2.1) and the local one (RFC 8215).
    if (zeros(2, 6) || groups[2] === 1) return [at(6)]
  }
  if (groups[0] === 0x2002) return [at(1)] // 6to4 (RFC 3056 §2)
  if (groups[0] === 0x2001 && groups[1] === 0) return [~at(6) >>> 0, at(2)] // Teredo (RFC 4380 §4)
  // ISATAP (RFC 5214 §6.1); under fe80::/10 it is link-local whatever it carries.
  const isatap = ((groups[4] as number) & ~0x0200) === 0 && groups[5] === 0x5efe
  if (isatap && (groups[0] as number) >>> 13 === 1) return [at(6)]
  return []
}

/** Four decimal parts without leading zeros → 32 bits, or undefined. */
function parseIpv4(text: string): number | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  let address = 0
  for (const part of parts) {
    const value = Number(part)
    // Back to text: only the plain decimal spelling survives (`010`, `0x1`, `1e1`, `+1` do not).
    if (!(value >= 0 && value <= 255) || String(value) !== part) return undefined
    address = address * 256 + value
  }
  return address
}

/** RFC 4291 §2.2 → eight groups of 16 bits, or undefined. A zone (`%eth0`) is no part of an address. */
function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::')
  if (halves.length > 2 || text.length > 45) return undefined
  const head = parseGroups(halves[0] as string, halves.length === 1)
  if (halves.length === 1) return head?.length === 8 ? head : undefined
  const tail = parseGroups(halves[1] as string, true)
  if (head === undefined || tail === undefined) return undefined
  const gap = 8 - head.length - tail.length
  return gap >= 1 ? [...head, ...new Array<number>(gap).fill(0), ...tail] : undefined
}

function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (last && i === parts.length - 1 && part.includes('.')) {
      const ipv4 = parseIpv4(part)
      if (ipv4 === undefined) return undefined
      groups.push(ipv4 >>> 16, ipv4 & 0xffff)
      continue
    }
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined
    groups.push(Number.parseInt(part, 16))
  }
  return groups
}
