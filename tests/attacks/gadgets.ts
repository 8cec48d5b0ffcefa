import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Bytes that some reader skips, trims or takes for an end: controls, blanks, and what is no ASCII. */
const STRAY = [
  ...[
    '\0',
    '\x01',
    '\x08',
    '\t',
    '\n',
    '\x0b',
    '\x0c',
    '\r',
    '\x0e',
    '\x1b',
    '\x1f',
    ' ',
    '"',
    "'",
    ',',
    ';',
    ':',
    '_',
    '.',
    '-',
  ],
  ...['\x7f', '\x80', '\x85', '\xa0', '\xad', '\xff', '\n ', '\r ', '\r\n ', '\r\n\t', '\0\r\n', '  '],
]

/** Ways to write a field that frames a message, so that it is one for this reader and none for that. */
export function spelledOddly(name: string, value: string): string[] {
  const [first, second] = name.split('-') as [string, string]
  const lines = STRAY.flatMap((stray) => [
    `${stray}${name}: ${value}`,
    `${name}${stray}: ${value}`,
    `${first}${stray}-${second}: ${value}`,
    `${first}-${stray}${second}: ${value}`,
    `${name}:${stray}${value}`,
    `${name}: ${stray}${value}`,
    `${name}: ${value}${stray}`,
    `${name}: ${value}${stray}x`,
    `${name}: x${stray}${value}`,
    `${name}: ${value.slice(0, 1)}${stray}${value.slice(1)}`,
    `X: x${stray}${name}: ${value}`,
    `X: x${stray}\r\n${name}: ${value}`,
    `X${stray}\r\n${name}: ${value}`,
  ])
  return [
    ...lines,
    ...[
      name.toUpperCase(),
      name.toLowerCase(),
      name.replace('-', '_'),
      name.replace('-', ''),
      name.replace('-', '--'),
    ].map((one) => `${one}: ${value}`),
    `${name}: ${value}\r\n${name}: x`,
    `${name}: x\r\n${name}: ${value}`,
    `${name}: ${value}\r\n${name.toLowerCase()}: ${value}`,
    `${name.replace('-', '_')}: ${value}\r\n${name}: ${value}`,
    `${name}\r\n: ${value}`,
    `${name}:\r\n${value}`,
    `${name}=${value}`,
    `Connection: ${name}\r\n${name}: ${value}`,
    `Connection: close, ${name}`,
    `X: "\r\n${name}: ${value}\r\nY: "`,
  ]
}

/** Ways to write a coding. */
export function codings(): string[] {
  const values = [
    ...[
      'chunked',
      'Chunked',
      'CHUNKED',
      'chunked, identity',
      'identity, chunked',
      'chunked, chunked',
      'gzip, chunked',
      'chunked;q=0.5',
    ],
    ...[
      '"chunked"',
      'chunked,',
      ', chunked',
      'xchunked',
      'chunkedx',
      'cow',
      'identity',
      'compress',
      '',
      'c\u0068unked',
      'chunKed',
    ],
  ]
  return [
    ...spelledOddly('Transfer-Encoding', 'chunked'),
    ...values.map((value) => `Transfer-Encoding: ${value}`),
  ]
}

/** Ways to write a length that is not the one which counts. */
export function lengths(length: number): string[] {
  const values = [
    ...[
      '',
      '-1',
      '+0',
      '0x10',
      '1e1',
      '1_0',
      '0 0',
      '0,0',
      `${length}, 0`,
      `${length}, ${length}`,
      '00',
      `0${length}`,
      `${length}.0`,
    ],
    ...['99999999999999999999', '18446744073709551616', '4294967296', `${length};`, `"${length}"`, '１'],
  ].map((value) => Buffer.from(value).toString('latin1'))
  return [...spelledOddly('Content-Length', '0'), ...values.map((value) => `Content-Length: ${value}`)]
}

/** Lines that others published, each ways to write Transfer-Encoding; none where `LOCUM_VECTORS` names no folder. */
export function published(): string[] {
  const folder = process.env.LOCUM_VECTORS
  const file = folder === undefined ? '' : join(folder, 'smuggling/te-gadgets.json')
  if (!existsSync(file)) return []
  return (JSON.parse(readFileSync(file, 'utf8')) as string[]).map((one) =>
    Buffer.from(one, 'base64').toString('latin1'),
  )
}

/** Ways to write the line in front of a chunk of `size` bytes. */
export function chunkLines(size: number): string[] {
  const hex = size.toString(16)
  return [
    ...STRAY.flatMap((stray) => [
      `${stray}${hex}`,
      `${hex}${stray}`,
      `${hex};${stray}`,
      `${hex}${stray};x`,
      `${hex};x=${stray}y`,
    ]).map((line) => `${line}\r\n`),
    ...[
      `0x${hex}`,
      `+${hex}`,
      `-${hex}`,
      `0${hex}`,
      `${'0'.repeat(40)}${hex}`,
      `${hex}h`,
      `${hex}.0`,
      `${hex},${hex}`,
      `${hex} ${hex}`,
      `1_${hex}`,
      '',
      'g',
      `1${'0'.repeat(16)}${hex}`,
    ].map((line) => `${line}\r\n`),
    ...[
      `${hex}\n`,
      `${hex}\r`,
      `${hex}\r\r\n`,
      `${hex}\n\r\n`,
      `${hex};\n\r\n`,
      `${hex}\r\r;ABCD\r\n`,
      `${hex};${'x'.repeat(20_000)}\r\n`,
      `\r\n${hex}\r\n`,
      `\n${hex}\r\n`,
    ],
  ]
}
