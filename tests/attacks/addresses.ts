/**
 * Ways to write an IPv4 address that some reader takes for it: inet_aton (POSIX), RFC 4291 §2.5.5,
 * RFC 6052 §2.1 (NAT64), RFC 3056 §2 (6to4), URL Standard §3.5, and digits that normalise to ASCII (UTS #46).
 */
export function spellings(address: string): string[] {
  const bytes = address.split('.').map(Number)
  const [a, b, c, d] = bytes as [number, number, number, number]
  const whole = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
  const hex = (value: number, width: number) => value.toString(16).padStart(width, '0')
  const octal = (value: number) => `0${value.toString(8)}`
  const [high, low] = [hex((a << 8) | b, 4), hex((c << 8) | d, 4)]
  const last16 = (c << 8) | d
  const last24 = (b << 16) | last16
  const four = [
    address,
    `${address}.`,
    `${whole}`,
    `0x${hex(whole, 8)}`,
    `0X${hex(whole, 8).toUpperCase()}`,
    octal(whole),
    bytes.map((byte) => `0x${hex(byte, 2)}`).join('.'),
    bytes.map(octal).join('.'),
    bytes.map((byte) => `000${octal(byte)}`).join('.'),
    `${a}.${last24}`,
    `${a}.${b}.${last16}`,
    `0x${a.toString(16)}.${last24}`,
    `${octal(a)}.${b}.${c}.0x${d.toString(16)}`,
    `${whole + 2 ** 32}`,
    bytes.map((byte) => byte + 256).join('.'),
    address.replaceAll('.', '%2e'),
    encodeURIComponent(address.replace(/\d/g, (digit) => String.fromCharCode(0xff10 + Number(digit)))),
    encodeURIComponent(address.replaceAll('.', '。')),
    encodeURIComponent(`${'①②③④⑤⑥⑦⑧⑨'[a % 10] ?? '①'}${address.slice(1)}`),
    `xn--${address}`,
    `${address}%00.public.example`,
    `${address}%20`,
  ]
  const six = [
    `::ffff:${address}`,
    `::ffff:${high}:${low}`,
    `0:0:0:0:0:ffff:${high}:${low}`,
    `::${address}`,
    `::${high}:${low}`,
    `::ffff:0:${address}`,
    `64:ff9b::${address}`,
    `64:ff9b::${high}:${low}`,
    `64:ff9b:1::${address}`,
    `2002:${high}:${low}::`,
    `2002:${high}:${low}::1`,
    `2001:0:${high}:${low}::`,
    `::ffff:${address}%25lo`,
    `::ffff:${address}%lo`,
  ]
  return [...four, ...six.map((text) => `[${text}]`)]
}

/** Names and addresses that lead to this machine by themselves. */
export const OWN_ADDRESSES = [
  'localhost',
  'LOCALHOST',
  'localhost.',
  'localhost.localdomain',
  'ip6-localhost',
  '0',
  '0.0.0.0',
  '127.1',
  '127.255.255.254',
  '[::]',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[0000::0001]',
  '[fe80::1]',
  '[::1%25lo]',
  'anything.localhost',
]
