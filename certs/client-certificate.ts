import { X509Certificate } from 'node:crypto'
import type { ShownCertificate } from '../core/words.ts'
import { type Element, elements, oid } from './der.ts'

const ID = /^[A-Za-z0-9._@-]{1,128}$/
const URN = 'urn:locum:principal:'
const COMMON_NAME = oid('2.5.4.3')
const ALTERNATIVE_NAMES = oid('2.5.29.17')
/** GeneralName (RFC 5280 §4.2.1.6): rfc822Name and uniformResourceIdentifier, both IA5String. */
const EMAIL = 0x81
const URI = 0x86
/** `[3]` of a TBSCertificate: its extensions. */
const EXTENSIONS = 0xa3
/** UTF8String, PrintableString, IA5String: those in which an id can be written one way only. */
const TEXTS = [0x0c, 0x13, 0x16]

/**
 * Which principal a client certificate names, whose chain was verified by the handshake: the URI
 * `urn:locum:principal:ID` among its alternative names; where there is none, the e-mail address there;
 * where that has none either, the common name of its subject. One of each kind at most, and an id as it
 * stands: of two, or of anything else, no principal is named. `holds`: whether the chain was verified.
 */
export function readClientCertificate(raw: Buffer, holds: boolean): ShownCertificate {
  const { validFrom, validTo } = new X509Certificate(raw)
  const times = { notBefore: Date.parse(validFrom), notAfter: Date.parse(validTo) }
  return { id: holds ? nameIn(raw) : undefined, ...times }
}

function nameIn(raw: Buffer): string | undefined {
  try {
    const [certificate] = elements(raw) as [Element]
    const [body] = elements(certificate.content) as [Element]
    // version [0], serial, signature, issuer, validity, subject, key, …, extensions [3]
    const parts = elements(body.content)
    const first = parts[0]?.tag === 0xa0 ? 1 : 0
    const alternatives = readAlternatives(parts.find(({ tag }) => tag === EXTENSIONS))
    const uris = alternatives.filter(({ tag, content }) => tag === URI && text(content).startsWith(URN))
    const names =
      uris.length > 0
        ? uris.map(({ content }) => text(content).slice(URN.length))
        : alternatives.filter(({ tag }) => tag === EMAIL).map(({ content }) => text(content))
    const [name, another] = names.length > 0 ? names : commonNames(parts[first + 4])
    return name !== undefined && another === undefined && ID.test(name) ? name : undefined
  } catch (thrown) {
    // What OpenSSL reads and is no DER names nobody.
    if (thrown instanceof RangeError) return undefined
    throw thrown
  }
}

function readAlternatives(extensions: Element | undefined): Element[] {
  const [list] = extensions ? elements(extensions.content) : []
  for (const { content } of list ? elements(list.content) : []) {
    const parts = elements(content)
    if (!parts[0]?.whole.equals(ALTERNATIVE_NAMES)) continue
    const value = parts.at(-1) as Element
    const [names] = elements(value.content)
    return names ? elements(names.content) : []
  }
  return []
}

function commonNames(subject: Element | undefined): string[] {
  const attributes = (subject ? elements(subject.content) : []).flatMap(({ content }) => elements(content))
  return attributes.flatMap(({ content }) => {
    const [type, value] = elements(content)
    if (!type?.whole.equals(COMMON_NAME) || !value) return []
    // A name in another alphabet stands for itself, and is no id.
    return [TEXTS.includes(value.tag) ? text(value.content) : '']
  })
}

function text(content: Buffer): string {
  return content.toString('latin1')
}
