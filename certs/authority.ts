import {
  constants,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Clock } from '../core/clock.ts'
import { canonicalHost } from '../core/destination.ts'
import { LocumError } from '../core/errors.ts'
import type { SealedPlace, Sealer, Store } from '../core/store.ts'
import { SYSTEM } from '../core/words.ts'
import { type LeafWriter, leafWriter } from './leaf.ts'
import { makeRoot } from './root.ts'

/** The vault's name for the CA: its certificate in the open, its key sealed. */
const ITEM = 'ca'

/** ms. For clients whose clock is behind. */
const BACKDATE = 60 * 60 * 1000

/** ms. With the backdating still under the 7 days that a leaf may live at most. */
const LEAF_LIFETIME = 6.5 * 24 * 60 * 60 * 1000

/** The part of its life after which a leaf is minted anew; what is left outlasts any handshake. */
const RENEW_AFTER = 0.75

/** Hosts. A context takes some 30 KiB; a caller who asks for ever new names must not fill the memory. */
const CACHE_SIZE = 1000

const RESTORE = 'Something else has changed the store; restore it from a backup.'

/** The site's CA. */
export interface Authority {
  readonly certificatePem: string
  readonly certificateDer: Buffer
  /**
   * TLS settings with a leaf for one host in canonical form, an IPv6 address in brackets; minted
   * where there is none. Throws bad_request for any other text, internal after the CA's own end.
   */
  leafFor(host: string): SecureContext
  /** Forgets the leaves. */
  close(): void
}

interface Leaf {
  readonly context: SecureContext
  /** Unix ms. */
  readonly from: number
  readonly renewAt: number
}

/**
 * The site's CA, made where the store has none yet. Of processes that start together one makes it
 * and the others take that one. Throws internal where what is stored is not a CA, or where its key,
 * its seal and its certificate do not belong together; and what the store throws.
 */
export async function openAuthority(
  store: Pick<Store, 'site' | 'vaultItem' | 'addVaultItem'>,
  sealer: Sealer,
  clock: Clock,
): Promise<Authority> {
  const item = (await store.vaultItem(SYSTEM, ITEM)) ?? (await addRoot(store, sealer, clock))
  const keyDer = sealer.open(placeOfKey(item.version), item.sealed)
  const { certificate, key } = readRoot(item.open.certificate ?? '', keyDer)
  keyDer.fill(0)

  // One key pair serves every leaf of this process: they share its memory and its fate anyway, and a
  // fresh one would add a fifth to the cost of a mint.
  const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const write = leafWriter(certificate.raw, key, leafKey)
  const leafKeyPem = leafKey.export({ type: 'pkcs8', format: 'pem' })
  const end = certificate.validToDate.getTime()
  const leaves = new Map<string, Leaf>()

  return {
    certificatePem: certificate.toString(),
    certificateDer: certificate.raw,
    leafFor(host) {
      const now = clock.now()
      let leaf = leaves.get(host)
      // A clock that was set back makes a leaf that is not valid yet.
      if (!leaf || now >= leaf.renewAt || now < leaf.from) {
        leaf = mint(host, now, end, write, leafKeyPem)
        if (leaves.size >= CACHE_SIZE) leaves.delete(leaves.keys().next().value as string)
      }
      // At the end of the map's order: the first in it is the one that was not asked for longest.
      leaves.delete(host)
      leaves.set(host, leaf)
      return leaf.context
    },
    close() {
      leaves.clear()
    },
  }
}

function placeOfKey(version: number): SealedPlace {
  return { table: 'certificates', row: ITEM, field: 'privateKey', version, owner: 'site', audience: [] }
}

async function addRoot(
  store: Pick<Store, 'site' | 'addVaultItem'>,
  sealer: Sealer,
  clock: Clock,
): ReturnType<Store['addVaultItem']> {
  const { id } = await store.site()
  const root = await makeRoot(id, clock.now() - BACKDATE)
  const sealed = sealer.seal(placeOfKey(1), root.keyDer)
  root.keyDer.fill(0)
  return store.addVaultItem(SYSTEM, ITEM, { sealed, open: { certificate: root.certificatePem } })
}

/** The certificate lies in the open: only one that its own key has signed, and no other, is taken. */
function readRoot(pem: string, keyDer: Buffer): { certificate: X509Certificate; key: KeyObject } {
  let certificate: X509Certificate
  let key: KeyObject
  let sound: boolean
  try {
    certificate = new X509Certificate(pem)
    key = createPrivateKey({ key: keyDer, format: 'der', type: 'pkcs8' })
    sound = certificate.ca && certificate.checkPrivateKey(key) && certificate.verify(certificate.publicKey)
  } catch (cause) {
    throw new LocumError('internal', "The site's CA cannot be read.", { cause, hint: RESTORE })
  }
  if (!sound) {
    throw new LocumError('internal', "The site CA's certificate and key do not belong together.", {
      hint: RESTORE,
    })
  }
  return { certificate, key }
}

function mint(host: string, now: number, end: number, write: LeafWriter, key: string | Buffer): Leaf {
  if (canonicalHost(host) !== host) {
    throw new LocumError(
      'bad_request',
      'A certificate was asked for something that is not a plain host name.',
    )
  }
  if (now >= end) throw new LocumError('internal', "The site's CA has expired.")
  const from = now - BACKDATE
  const until = Math.min(now + LEAF_LIFETIME, end)
  const context = createSecureContext({
    cert: pemOf(write(host, from, until)),
    key,
    minVersion: 'TLSv1.2',
    // A client could ask for one signature after the other on one connection (TLS 1.2 only).
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    // No client certificates here. Left out, it would be the whole list of public roots, per host.
    ca: [],
  })
  return { context, from, renewAt: now + (until - now) * RENEW_AFTER }
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) as string[]
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
