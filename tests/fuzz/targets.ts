import fc from 'fast-check'
import { canonicalHost, parseDestination } from '../../core/destination.ts'
import { LocumError } from '../../core/errors.ts'
import { gatewayName, parseAbsolute, parseConnect, parseGateway, parseInTunnel } from '../../core/target.ts'
import { OWN_ADDRESSES, spellings } from '../attacks/addresses.ts'
import { Broken, type Fuzzer } from './engine.ts'

const hosts = fc.oneof(
  fc.domain(),
  fc.ipV4(),
  fc.ipV4Extended(),
  fc.ipV6().map((text) => `[${text}]`),
  fc.constantFrom(...spellings('127.0.0.1'), ...OWN_ADDRESSES),
)
const authority = fc
  .tuple(hosts, fc.option(fc.nat(70_000)))
  .map(([host, port]) => (port === null ? host : `${host}:${port}`))
const path = fc.webPath()

/** Targets as the wire lets them through, and the URL Standard beside them. */
export const targets: Fuzzer = {
  name: 'targets',
  promise:
    'a target that is taken names the host, port and path that the URL Standard reads, and no other; every other is a refusal',
  corpus: [
    'http://api.example.com/v1/x?y=z',
    'https://api.example.com:8443/',
    'http://a.example:80/a/b/c;d=e?f=g&h=%20',
    'http://[2001:db8::1]:8080/x',
    'http://127.0.0.1/',
    'HTTP://A.EXAMPLE/%7Euser',
    'api.example.com:443',
    '/c/stripe/v1/charges?limit=1',
    '/v1/x?y={{$Auth.Z}}&<a>',
    'http://xn--bcher-kva.example/',
    '*',
  ],
  words: [
    '//',
    '/',
    '\\',
    '@',
    ':',
    '#',
    '?',
    '%',
    '%2e',
    '%2f',
    '%5c',
    '%25',
    '..',
    '/../',
    '/./',
    '/%2e%2e/',
    ';',
    '[',
    ']',
    '::1',
    '127.1',
    '0x7f',
    '2130706433',
    'localhost',
    'xn--',
    'http://',
    'https://',
    'ftp://',
    ':80',
    ':443',
    ':0',
    ':65536',
    '.',
    '-',
    '_',
    '\x7f',
    '\x80',
    ' ',
    '\t',
    '\r\n',
    '\0',
    'ａ',
    '。',
  ].map((word) => Buffer.from(word).toString('latin1')),
  grammar: fc.oneof(
    fc
      .tuple(fc.constantFrom('http://', 'https://', 'HTTP://'), authority, path)
      .map((parts) => parts.join('')),
    authority,
    fc.tuple(fc.constantFrom('/c/', '/'), path).map((parts) => parts.join('')),
  ),
  share: 20,
  attempt(input) {
    // What the wire does not let through, no target holds.
    const target = input.replace(/[^\x21-\x7e]|[#\\]/g, '')
    let taken = false
    const attempt = <T>(work: () => T, judge: (value: T) => void): void => {
      let value: T
      try {
        value = work()
      } catch (thrown) {
        if (thrown instanceof LocumError && thrown.code !== 'internal') return
        throw thrown
      }
      if (value === undefined) return
      taken = true
      judge(value)
    }
    attempt(
      () => parseAbsolute(target, undefined),
      ({ candidates, path }) => {
        const url = URL.parse(target)
        if (!url) throw new Broken(`${target} is no URL`)
        // A name with a dot at its end is the same name.
        const meant = url.hostname.replace(/\.$/, '')
        for (const [i, { destination }] of candidates.entries()) {
          if (meant !== destination.host)
            throw new Broken(`${destination.host} is judged, ${url.hostname} is meant by ${target}`)
          // The second is what http may stand for: https, at its own port where none was said.
          if (i === 0 && portOf(url) !== destination.port)
            throw new Broken(`port ${destination.port} is judged, ${portOf(url)} is meant by ${target}`)
        }
        judgePath(path)
        const walked = url.pathname + (url.search || (path.endsWith('?') ? '?' : ''))
        if (walked !== path && decodeURIish(walked) !== decodeURIish(path))
          throw new Broken(`${path} goes on, ${walked} is meant`)
      },
    )
    attempt(
      () => parseConnect(target, undefined),
      ({ host, port }) => {
        const url = URL.parse(`http://${target}/`)
        if (url?.hostname.replace(/\.$/, '') !== host || portOf(url) !== port)
          throw new Broken(`CONNECT ${target} leads to ${host}:${port}`)
        attempt(
          () => parseInTunnel('/', target, { host, port }, true),
          ({ candidates }) => {
            if (candidates.some(({ destination }) => destination.host !== host))
              throw new Broken(`a tunnel to ${host} leads elsewhere`)
          },
        )
      },
    )
    attempt(
      () => parseGateway(target),
      (found) => {
        if (found?.name !== gatewayName(target)) throw new Broken(`${target} names two connections`)
        if (found) judgePath(found.rest)
      },
    )
    attempt(
      () => parseDestination(input),
      ({ host, wildcard }) => {
        if (!wildcard && canonicalHost(host) !== host)
          throw new Broken(`${host} is not what it is compared as`)
      },
    )
    return taken
  },
}

function portOf(url: URL): number {
  return url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
}

function judgePath(path: string): void {
  if (!/^\/[\x21-\x7e]*$/.test(path)) throw new Broken(`${JSON.stringify(path)} goes on as a path`)
  // Whatever a reader decodes, however often, no step leads up.
  let text = path.split('?')[0] as string
  for (let i = 0; i < 4; i++) {
    if (/(?:^|[/\\])\.{1,2}(?:[/\\;]|$)/.test(text)) throw new Broken(`${path} holds a dot segment`)
    text = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  }
}

/** The URL Standard encodes some characters that HTTP lets through. */
function decodeURIish(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
