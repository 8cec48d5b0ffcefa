import { webcrypto } from 'node:crypto'

/** Years. Clients that trust it have to be told of the next one by hand. */
const LIFETIME = 10

/** ms by which certificates are valid before they are made: for clients whose clock is behind. */
export const BACKDATE = 60 * 60 * 1000

/** A new CA: its certificate, and its private key as PKCS#8 DER. */
export interface Root {
  readonly certificatePem: string
  readonly keyDer: Buffer
}

/**
 * Makes the site's own P-256 CA, self-signed, with path length 0: it signs leaves and no further CA.
 * `from` is in Unix ms. `generation` tells its name from those of the CAs before it: some clients look
 * for an issuer by name alone. Happens once in a site's life, or in years, which is why the library that does it is loaded
 * here and not with the program: it takes 250 ms.
 */
export async function makeRoot(siteId: string, from: number, generation = 1): Promise<Root> {
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])
  const notBefore = new Date(from)
  const notAfter = new Date(from)
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + LIFETIME)
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [`Locum CA ${siteId.slice(0, 8)}${generation === 1 ? '' : ` (${generation})`}`] }],
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    notBefore,
    notAfter,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return {
    certificatePem: `${certificate.toString('pem')}\n`,
    keyDer: Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)),
  }
}
