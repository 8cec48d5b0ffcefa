import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  webcrypto,
  X509Certificate,
} from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { SigningCertificate, SigningKeeper, SigningKey, SigningKeys } from '../core/signing-keys.ts'
import type { SealedPlace, Sealer, Store, VaultItem } from '../core/store.ts'
import { SYSTEM } from '../core/words.ts'
import { BACKDATE } from './root.ts'
import { OVERLAP } from './rotation.ts'

/** The one that signs where nothing else is named. */
const DEFAULT = 'default'
/** Years. */
const LIFETIME = 10

/** Keys that there can be, and how their certificates are signed. */
const KINDS: Readonly<Record<string, readonly [generate: object, sign: object]>> = {
  'rsa-2048': [rsa(2048), { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }],
  'rsa-3072': [rsa(3072), { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }],
  'rsa-4096': [rsa(4096), { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }],
  'ec-p256': [
    { name: 'ECDSA', namedCurve: 'P-256' },
    { name: 'ECDSA', hash: 'SHA-256' },
  ],
  'ec-p384': [
    { name: 'ECDSA', namedCurve: 'P-384' },
    { name: 'ECDSA', hash: 'SHA-384' },
  ],
  'ec-p521': [
    { name: 'ECDSA', namedCurve: 'P-521' },
    { name: 'ECDSA', hash: 'SHA-512' },
  ],
  ed25519: [{ name: 'Ed25519' }, { name: 'Ed25519' }],
}
const SIGNING_KINDS: readonly string[] = Object.keys(KINDS)

function rsa(modulusLength: number): object {
  return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength, publicExponent: Uint8Array.of(1, 0, 1) }
}

type Items = Pick<Store, 'vaultItem'>

/** The vault's name of the certificate that signs, and of the one that is to take over. */
const PREFIX = 'signing:'
const itemName = (name: string) => `${PREFIX}${name}`
const nextName = (name: string) => `signing-next:${name}`

/** The site's signing keys: read each time, so that what another process has changed counts at once. */
export function openSigningKeys(store: Store, sealer: Sealer, clock: Clock): SigningKeys {
  return {
    async key(name = DEFAULT): Promise<SigningKey> {
      if (name === DEFAULT) await ensureDefault(store, sealer, clock)
      const { signing, next } = await readItems(store, name)
      const due = next && isDue(next, clock) ? next : undefined
      if (due) return openKey(sealer, nextName(name), due)
      if (signing) return openKey(sealer, itemName(name), signing)
      throw new LocumError('refresh_failed', `There is no signing certificate \`${name}\`.`, {
        hint: `Make it: locum cert new ${name}. Those that are there: locum cert ls`,
        lasting: true,
      })
    },
  }
}

/** Makes the default one where there is none; of two processes that do so one is taken. */
async function ensureDefault(store: Store, sealer: Sealer, clock: Clock): Promise<void> {
  if (await store.vaultItem(SYSTEM, itemName(DEFAULT))) return
  await store.addVaultItem(
    SYSTEM,
    itemName(DEFAULT),
    await makeItem(sealer, itemName(DEFAULT), DEFAULT, clock),
  )
}

export function signingKeeper(sealer: Sealer, clock: Clock): SigningKeeper {
  return {
    async list(store) {
      await ensureDefault(store, sealer, clock)
      const names = await store.vaultNames(SYSTEM, PREFIX)
      const all = await Promise.all(names.map((one) => describe(store, one.slice(PREFIX.length), clock)))
      return all.flat()
    },

    // A key takes seconds where it is a large one, and nobody else can write in a transaction: it is made before.
    async make(store, name, kind) {
      if (name === DEFAULT) await ensureDefault(store, sealer, clock)
      const item = await makeItem(sealer, itemName(name), name, clock, kind)
      await store.transact(SYSTEM, async (inside) => {
        if (await inside.vaultItem(SYSTEM, itemName(name))) {
          throw new LocumError('bad_request', `There is a signing certificate \`${name}\` already.`, {
            hint: `A new key for it: locum cert rotate ${name}`,
          })
        }
        await inside.addVaultItem(SYSTEM, itemName(name), item)
      })
    },

    async rotate(store, name, signsFrom) {
      if (name === DEFAULT) await ensureDefault(store, sealer, clock)
      const from = signsFrom ?? clock.now() + OVERLAP
      const before = await readItems(store, name)
      const kind = before.signing?.open.kind
      const waits = before.next !== undefined && !isDue(before.next, clock)
      const made =
        waits || kind === undefined
          ? undefined
          : await makeItem(sealer, nextName(name), name, clock, kind, from)
      return store.transact(SYSTEM, async (inside) => {
        await takeOver(inside, sealer, clock, name)
        const { signing, next } = await readItems(inside, name)
        if (!signing) {
          throw new LocumError('bad_request', `There is no signing certificate \`${name}\`.`, {
            hint: '`locum cert ls` lists those that are there.',
          })
        }
        if (next && (signsFrom === undefined || String(signsFrom) === next.open.signsFrom)) return false
        if (next) {
          const moved = moveItem(
            sealer,
            { name: nextName(name), item: next },
            nextName(name),
            next.version + 1,
            from,
          )
          await inside.replaceVaultItem(SYSTEM, nextName(name), next.version, moved)
        } else {
          if (!made)
            throw new LocumError('bad_request', `Somebody else has rotated \`${name}\` meanwhile.`, {
              hint: 'Look at it again: locum cert ls',
            })
          await inside.addVaultItem(SYSTEM, nextName(name), made)
        }
        await takeOver(inside, sealer, clock, name)
        return true
      })
    },
  }
}

/** Of the two the next first, so that none is missed while it takes over. */
async function readItems(store: Items, name: string) {
  const next = await store.vaultItem(SYSTEM, nextName(name))
  const signing = await store.vaultItem(SYSTEM, itemName(name))
  return { signing, next: next?.open.certificate === signing?.open.certificate ? undefined : next }
}

function isDue({ open }: VaultItem, clock: Clock): boolean {
  return clock.now() >= Number(open.signsFrom)
}

/** Puts the one that waits in the place of the one that signs, where its time has come; the old key is gone then. */
async function takeOver(store: Store, sealer: Sealer, clock: Clock, name: string): Promise<void> {
  const { signing, next } = await readItems(store, name)
  if (!signing || !next || !isDue(next, clock)) return
  const moved = moveItem(sealer, { name: nextName(name), item: next }, itemName(name), signing.version + 1)
  await store.replaceVaultItem(SYSTEM, itemName(name), signing.version, moved)
  await store.removeVaultItem(SYSTEM, nextName(name))
}

async function describe(store: Store, name: string, clock: Clock): Promise<SigningCertificate[]> {
  const { signing, next } = await readItems(store, name)
  const due = next !== undefined && isDue(next, clock)
  const shown: SigningCertificate[] = []
  if (signing && !due) shown.push(shownAs(name, 'signs', signing))
  if (next) shown.push(shownAs(name, due ? 'signs' : 'next', next))
  return shown
}

function shownAs(name: string, role: SigningCertificate['role'], { open }: VaultItem): SigningCertificate {
  const certificate = readCertificate(name, open)
  return {
    name,
    role,
    kind: open.kind ?? '',
    kid: thumbprint(certificate.publicKey),
    fingerprint: certificate.fingerprint256,
    validUntil: certificate.validToDate.getTime(),
    ...(role === 'next' ? { signsFrom: Number(open.signsFrom) } : {}),
    pem: open.certificate as string,
  }
}

function readCertificate(name: string, open: VaultItem['open']): X509Certificate {
  try {
    return new X509Certificate(open.certificate ?? '')
  } catch (cause) {
    throw new LocumError('internal', `The signing certificate \`${name}\` cannot be read.`, {
      cause,
      hint: RESTORE,
    })
  }
}

const RESTORE = 'Something else has changed the store; restore it from a backup.'

/** Throws internal where certificate, key and seal do not belong together. */
function openKey(sealer: Sealer, row: string, item: VaultItem): SigningKey {
  const certificate = readCertificate(row, item.open)
  const der = sealer.open(placeOf(row, item.version), item.sealed)
  try {
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    if (certificate.checkPrivateKey(privateKey)) return { privateKey, kid: thumbprint(certificate.publicKey) }
  } finally {
    der.fill(0)
  }
  throw new LocumError('internal', 'A signing certificate and its key do not belong together.', {
    hint: RESTORE,
  })
}

function moveItem(
  sealer: Sealer,
  from: { name: string; item: VaultItem },
  row: string,
  version: number,
  signsFrom?: number,
): Omit<VaultItem, 'version'> {
  const der = sealer.open(placeOf(from.name, from.item.version), from.item.sealed)
  const sealed = sealer.seal(placeOf(row, version), der)
  der.fill(0)
  const { signsFrom: _, ...open } = from.item.open
  return { sealed, open: { ...open, ...(signsFrom === undefined ? {} : { signsFrom: String(signsFrom) }) } }
}

/** A new key with its certificate, self-signed: the other side is given it, and trusts it and no other. */
async function makeItem(
  sealer: Sealer,
  row: string,
  name: string,
  clock: Clock,
  kind = 'rsa-2048',
  signsFrom?: number,
): Promise<Omit<VaultItem, 'version'>> {
  const [generate, sign] = KINDS[kind] ?? []
  if (!generate || !sign)
    throw new LocumError('bad_request', `There is no kind \`${kind}\` of keys.`, {
      hint: `There are ${SIGNING_KINDS.join(', ')}.`,
    })
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const keys = (await webcrypto.subtle.generateKey(generate as never, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
  const notBefore = new Date(clock.now() - BACKDATE)
  const notAfter = new Date(clock.now())
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + LIFETIME)
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [`Locum signing ${name}`.slice(0, 64)] }],
    keys: keys as never,
    signingAlgorithm: sign as never,
    notBefore,
    notAfter,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    ],
  })
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const sealed = sealer.seal(placeOf(row, 1), der)
  der.fill(0)
  const pem = `${certificate.toString('pem')}\n`
  return {
    sealed,
    open: { certificate: pem, kind, ...(signsFrom === undefined ? {} : { signsFrom: String(signsFrom) }) },
  }
}

function placeOf(row: string, version: number): SealedPlace {
  return { table: 'certificates', row, field: 'privateKey', version, owner: 'site', audience: [] }
}

/** What of a public key is digested (RFC 7638 §3.2, RFC 8037 §2), in this order. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  RSA: ['e', 'kty', 'n'],
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
}

function thumbprint(key: KeyObject): string {
  const jwk = key.export({ format: 'jwk' }) as Record<string, string>
  const members = (MEMBERS[jwk.kty ?? ''] ?? []).map((name) => [name, jwk[name]])
  return createHash('sha256')
    .update(JSON.stringify(Object.fromEntries(members)))
    .digest('base64url')
}

/** The bare public key, of a certificate in PEM: SPKI, PEM. */
export function publicKeyPem(certificate: string): string {
  return createPublicKey(certificate).export({ format: 'pem', type: 'spki' }) as string
}

/** Public keys as a JWK Set (RFC 7517 §5). */
export function keySet(certificates: readonly Pick<SigningCertificate, 'pem' | 'kid'>[]): string {
  const keys = certificates.map(({ pem, kid }) => ({
    ...createPublicKey(pem).export({ format: 'jwk' }),
    kid,
    use: 'sig',
  }))
  return `${JSON.stringify({ keys }, null, 2)}\n`
}
