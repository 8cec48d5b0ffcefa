import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

const P256 = { name: 'ECDSA', namedCurve: 'P-256' }
const SHA256 = { name: 'ECDSA', hash: 'SHA-256' }
const HOUR = 3_600_000

/** A certificate and its PKCS#8 key, both PEM: what `tls.createServer` takes. */
export interface Issued {
  readonly cert: string
  readonly key: string
}

export interface TestCa extends Issued {
  readonly name: string
  readonly signingKey: CryptoKey
}

export interface IssueOptions {
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** The extended key usage is for clients only. */
  readonly forClient?: boolean
  /** The whole subject, as in `CN=ada, O=Example`. */
  readonly subject?: string
  readonly emails?: readonly string[]
  readonly uris?: readonly string[]
}

/** A certificate authority valid for a day; with `parent` an intermediate one. */
export async function makeCa(name = 'Test CA', parent?: TestCa): Promise<TestCa> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${name}`,
    issuer: `CN=${parent?.name ?? name}`,
    notBefore: new Date(Date.now() - HOUR),
    notAfter: new Date(Date.now() + 24 * HOUR),
    signingAlgorithm: SHA256,
    publicKey: keys.publicKey,
    signingKey: parent?.signingKey ?? keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { name, cert: certificate.toString('pem'), key: await pem(keys), signingKey: keys.privateKey }
}

/** A leaf for those DNS names and IP addresses, signed by `ca`. Valid from an hour ago for a day. */
export async function issue(
  ca: TestCa,
  names: readonly string[],
  options: IssueOptions = {},
): Promise<Issued> {
  return makeLeaf(names, options, ca)
}

/** A leaf that nobody vouches for. */
export async function selfSigned(names: readonly string[], options: IssueOptions = {}): Promise<Issued> {
  return makeLeaf(names, options)
}

async function makeLeaf(names: readonly string[], options: IssueOptions, ca?: TestCa): Promise<Issued> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])
  const subject = options.subject ?? `CN=${isIP(names[0] as string) ? 'address' : names[0]}`
  const alternatives: x509.JsonGeneralNames = [
    ...names.map((name) => ({ type: isIP(name) ? ('ip' as const) : ('dns' as const), value: name })),
    ...(options.emails ?? []).map((value) => ({ type: 'email' as const, value })),
    ...(options.uris ?? []).map((value) => ({ type: 'url' as const, value })),
  ]
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: ca ? `CN=${ca.name}` : subject,
    notBefore: options.notBefore ?? new Date(Date.now() - HOUR),
    notAfter: options.notAfter ?? new Date(Date.now() + 24 * HOUR),
    signingAlgorithm: SHA256,
    publicKey: keys.publicKey,
    signingKey: ca?.signingKey ?? keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        options.forClient ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth,
      ]),
      ...(alternatives.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(alternatives)]),
    ],
  })
  return { cert: certificate.toString('pem'), key: await pem(keys) }
}

/** Positive, and the same length always (RFC 5280 §4.1.2.2). */
function serialNumber(): string {
  return `01${randomBytes(15).toString('hex')}`
}

async function pem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${(der.match(/.{1,64}/g) as string[]).join('\n')}\n-----END PRIVATE KEY-----\n`
}
