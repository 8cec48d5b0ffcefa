import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { TlsFiles } from './listen.ts'

/** Something that is wrong with one of a listener's TLS files; completes “FILE …”. */
export interface TlsFault {
  readonly file: keyof TlsFiles
  readonly says: string
}

/** PEM texts of a listener's TLS files. */
export type TlsTexts = { readonly [K in keyof TlsFiles]: string }

/** What is wrong with them, before a handshake finds out. Nothing of a key is ever in it. */
export function tlsFaults({ cert, key, clientCa }: TlsTexts): TlsFault[] {
  const faults: TlsFault[] = []
  const chain = readCertificates(cert)
  if (chain.length === 0)
    faults.push({ file: 'cert', says: 'is not a list of certificates in PEM, each on lines of its own' })
  const pair = readKey(key)
  if (typeof pair === 'string') faults.push({ file: 'key', says: pair })
  else if (chain[0] && !chain[0].checkPrivateKey(pair))
    faults.push({ file: 'key', says: 'is not the key of the first certificate' })
  if (clientCa === undefined) return faults
  const roots = readCertificates(clientCa)
  // One that is no CA would be trusted as itself: a client's own certificate put here by mistake.
  if (roots.length === 0 || roots.some(({ ca }) => !ca))
    faults.push({
      file: 'clientCa',
      says: 'is not a list of CA certificates in PEM, each on lines of its own',
    })
  // Node's TLS servers take no chain that ends below its root (allowPartialTrustChain is not for them).
  else if (!roots.every((one) => roots.some((other) => one.checkIssued(other))))
    faults.push({ file: 'clientCa', says: 'holds an intermediate CA without the CA that issued it' })
  return faults
}

/** Unix ms at which the certificate ends. The text was found to be one. */
export function tlsEnd(cert: string): number {
  return Date.parse((readCertificates(cert)[0] as X509Certificate).validTo)
}

/**
 * Empty where any of them cannot be read. So it is where one begins on the line on which another ends:
 * OpenSSL reads neither, and says nothing about it in a list of CAs.
 */
function readCertificates(pem: string): X509Certificate[] {
  const texts = pem.match(/^-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*$/gm) ?? []
  if (texts.length !== pem.split('-----BEGIN CERTIFICATE-----').length - 1) return []
  try {
    return texts.map((text) => new X509Certificate(text))
  } catch {
    // OpenSSL's reasons name its own functions, and nothing that helps.
    return []
  }
}

function readKey(pem: string): KeyObject | string {
  if (/ENCRYPTED/.test(pem)) return 'is encrypted; Locum takes no passphrase'
  try {
    return createPrivateKey(pem)
  } catch {
    // Without the parser's error: it may speak of what it read.
    return 'holds no private key in PEM'
  }
}
