import { constants, generateKeyPairSync, type X509Certificate } from 'node:crypto'
import { createSecureContext, DEFAULT_CIPHERS, type SecureContext } from 'node:tls'
import type { Clock } from '../core/clock.ts'
import { canonicalHost } from '../core/destination.ts'
import { LocumError } from '../core/errors.ts'
import type { Sealer, Store } from '../core/store.ts'
import { SYSTEM } from '../core/words.ts'
import { type LeafWriter, leafWriter } from './leaf.ts'
import { BACKDATE, makeRoot } from './root.ts'
import { isDue, takeOver } from './rotation.ts'
import { type KeptCa, NEXT, openCa, readItems, SIGNING, sealRoot } from './vault.ts'

/**
 * SHA-256 has instructions of its own on the processors of the day, SHA-384 has none: a handshake with it costs
 * a twentieth more. So our order counts, unless a client that has no AES in its processor puts ChaCha first.
 */
const FIRST_CIPHER = 'TLS_AES_128_GCM_SHA256'
const OTHER_CIPHERS = DEFAULT_CIPHERS.split(':').filter((name) => name !== FIRST_CIPHER)
const CIPHERS = [FIRST_CIPHER, ...OTHER_CIPHERS].join(':')
const SECURE_OPTIONS =
  constants.SSL_OP_CIPHER_SERVER_PREFERENCE |
  constants.SSL_OP_PRIORITIZE_CHACHA |
  // A client could ask for one signature after the other on one connection (TLS 1.2 only).
  constants.SSL_OP_NO_RENEGOTIATION

/** ms. With the backdating still under the 7 days that a leaf may live at most. */
const LEAF_LIFETIME = 6.5 * 24 * 60 * 60 * 1000

/** The part of its life after which a leaf is minted anew; what is left outlasts any handshake. */
const RENEW_AFTER = 0.75

/** Hosts. A context takes some 30 KiB; a caller who asks for ever new names must not fill the memory. */
const CACHE_SIZE = 1000

/** The site's CA. While another is to take over from it, it is two for those who trust it. */
export interface Authority {
  /** Of the CA that signs now. */
  readonly certificatePem: string
  readonly certificateDer: Buffer
  /** What clients should trust now: the CA that signs, then the one that will. */
  readonly trusted: readonly X509Certificate[]
  /** The same as PEM. */
  readonly trustedPem: string
  /**
   * TLS settings with a leaf for one host in canonical form, an IPv6 address in brackets; minted
   * where there is none. Throws bad_request for any other text, internal after the CA's own end.
   */
  leafFor(host: string): SecureContext
  /** Takes what the store has now. Rejects as `openAuthority` does; what was there before stays then. */
  reload(): Promise<void>
  /** Forgets the leaves. */
  close(): void
}

interface Leaf {
  readonly context: SecureContext
  /** Unix ms. */
  readonly from: number
  readonly renewAt: number
}

/** A CA, ready to sign. */
interface Signer extends KeptCa {
  readonly write: LeafWriter
}

/**
 * The site's CA, made where the store has none yet. Of processes that start together one makes it
 * and the others take that one. A CA whose time to take over has come does so. Throws internal where
 * what is stored is not a CA, or where its key, its seal and its certificate do not belong together;
 * and what the store throws.
 */
export async function openAuthority(store: Store, sealer: Sealer, clock: Clock): Promise<Authority> {
  // One key pair serves every leaf of this process: they share its memory and its fate anyway, and a
  // fresh one would add a fifth to the cost of a mint.
  const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const leafKeyPem = leafKey.export({ type: 'pkcs8', format: 'pem' })
  const signer = (ca: KeptCa): Signer => ({ ...ca, write: leafWriter(ca.certificate.raw, ca.key, leafKey) })
  const leaves = new Map<string, Leaf>()
  let { signing, next } = await read()

  /** Opens both; the store is asked to let one take over that is due. */
  async function read(): Promise<{ signing: Signer; next: Signer | undefined }> {
    let items = await readItems(store)
    if (items.next && isDue(items.next, clock)) {
      await takeOver(store, sealer, clock)
      items = await readItems(store)
    }
    const item = items.signing ?? (await addRoot(store, sealer, clock))
    const follows = items.next && openCa(sealer, NEXT, items.next)
    return { signing: signer(openCa(sealer, SIGNING, item)), next: follows && signer(follows) }
  }

  /** Every leaf is minted anew by the CA that signs from now on. */
  function sign(by: Signer): void {
    if (!by.certificate.raw.equals(signing.certificate.raw)) leaves.clear()
    signing = by
  }

  /** Where the next one's time has come, it signs; the store follows when it is opened next. */
  function turn(now: number): void {
    if (next === undefined || now < (next.signsFrom ?? 0)) return
    sign(next)
    next = undefined
  }

  const trusted = () => {
    turn(clock.now())
    return next ? [signing.certificate, next.certificate] : [signing.certificate]
  }

  return {
    get certificatePem() {
      return (trusted()[0] as X509Certificate).toString()
    },
    get certificateDer() {
      return (trusted()[0] as X509Certificate).raw
    },
    get trusted() {
      return trusted()
    },
    get trustedPem() {
      return trusted().join('')
    },
    leafFor(host) {
      const now = clock.now()
      if (next !== undefined) turn(now)
      let leaf = leaves.get(host)
      // A clock that was set back makes a leaf that is not valid yet.
      if (!leaf || now >= leaf.renewAt || now < leaf.from) {
        leaf = mint(host, now, signing, leafKeyPem)
        if (leaves.size >= CACHE_SIZE) leaves.delete(leaves.keys().next().value as string)
      }
      // At the end of the map's order: the first in it is the one that was not asked for longest.
      leaves.delete(host)
      leaves.set(host, leaf)
      return leaf.context
    },
    async reload() {
      const now = await read()
      sign(now.signing)
      next = now.next
    },
    close() {
      leaves.clear()
    },
  }
}

async function addRoot(store: Store, sealer: Sealer, clock: Clock): ReturnType<Store['addVaultItem']> {
  const { id } = await store.site()
  const root = await makeRoot(id, clock.now() - BACKDATE)
  return store.addVaultItem(SYSTEM, SIGNING, sealRoot(sealer, SIGNING, root, { generation: 1 }))
}

function mint(host: string, now: number, { certificate, write }: Signer, key: string | Buffer): Leaf {
  if (canonicalHost(host) !== host) {
    throw new LocumError(
      'bad_request',
      'A certificate was asked for something that is not a plain host name.',
    )
  }
  const end = certificate.validToDate.getTime()
  if (now >= end) throw new LocumError('internal', "The site's CA has expired.")
  const from = now - BACKDATE
  const until = Math.min(now + LEAF_LIFETIME, end)
  const context = createSecureContext({
    cert: pemOf(write(host, from, until)),
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    secureOptions: SECURE_OPTIONS,
    // No client certificates here. Left out, it would be the whole list of public roots, per host.
    ca: [],
  })
  return { context, from, renewAt: now + (until - now) * RENEW_AFTER }
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) as string[]
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
