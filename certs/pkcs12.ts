import { createHash, randomBytes } from 'node:crypto'
import type { asn1 as forgeAsn1 } from 'node-forge'

type Asn1 = forgeAsn1.Asn1

/** Bytes. */
const SALT_LENGTH = 8
/** Of the check value's key, as OpenSSL makes them. */
const ITERATIONS = 2048

const OID = {
  data: '1.2.840.113549.1.7.1',
  certBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  sha256: '2.16.840.1.101.3.4.2.1',
  /** Oracle's: without it Java takes the entry for no trust anchor (sun.security.pkcs12.PKCS12KeyStore). */
  trustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  anyExtendedKeyUsage: '2.5.29.37.0',
}

/**
 * A PKCS #12 (RFC 7292) of certificates alone, none of them secret: a truststore for Java, whose entries
 * are trusted for everything. The password guards nothing but says that the file is whole. node-forge
 * writes the structure and derives the check's key; it takes 80 ms to load, which is why that happens here.
 */
export async function truststore(
  certificates: readonly { readonly raw: Buffer }[],
  password: string,
): Promise<Buffer> {
  const { default: forge } = await import('node-forge')
  const { asn1 } = forge
  const { Class, Type } = asn1

  const universal = (type: number, value: string) => asn1.create(Class.UNIVERSAL, type, false, value)
  const sequence = (...members: Asn1[]) => asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, members)
  const setOf = (...members: Asn1[]) => asn1.create(Class.UNIVERSAL, Type.SET, true, members)
  const explicit = (value: Asn1) => asn1.create(Class.CONTEXT_SPECIFIC, 0, true, [value])
  const oid = (dotted: string) => universal(Type.OID, asn1.oidToDer(dotted).getBytes())
  const octets = (bytes: string) => universal(Type.OCTETSTRING, bytes)
  const integer = (value: number) => universal(Type.INTEGER, asn1.integerToDer(value).getBytes())
  const der = (value: Asn1) => asn1.toDer(value).getBytes()
  const data = (content: string) => sequence(oid(OID.data), explicit(octets(content)))

  const bags = certificates.map(({ raw }, i) =>
    sequence(
      oid(OID.certBag),
      explicit(sequence(oid(OID.x509Certificate), explicit(octets(raw.toString('latin1'))))),
      setOf(
        sequence(oid(OID.friendlyName), setOf(universal(Type.BMPSTRING, aliasOf(raw, i)))),
        sequence(oid(OID.trustedKeyUsage), setOf(oid(OID.anyExtendedKeyUsage))),
      ),
    ),
  )
  const safe = der(sequence(data(der(sequence(...bags)))))

  const salt = randomBytes(SALT_LENGTH).toString('latin1')
  const md = forge.md.sha256.create()
  const key = forge.pkcs12.generateKey(password, forge.util.createBuffer(salt), 3, ITERATIONS, 32, md)
  const hmac = forge.hmac.create()
  hmac.start('sha256', key)
  hmac.update(safe)
  const check = sequence(
    sequence(sequence(oid(OID.sha256), universal(Type.NULL, '')), octets(hmac.digest().getBytes())),
    octets(salt),
    integer(ITERATIONS),
  )
  return Buffer.from(der(sequence(integer(3), data(safe), check)), 'latin1')
}

/** `locum-ca-1-ab12cd34`: Java tells entries by their names, ignoring case. */
function aliasOf(raw: Buffer, i: number): string {
  return `locum-${i + 1}-${createHash('sha256').update(raw).digest('hex').slice(0, 8)}`
}
