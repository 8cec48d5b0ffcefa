import type { TrustedCa } from '../core/ca.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import type { Sealer, Store, VaultItem } from '../core/store.ts'
import { SYSTEM } from '../core/words.ts'
import { BACKDATE, makeRoot } from './root.ts'
import { moveCa, NEXT, readItems, readOpen, SIGNING, sealRoot } from './vault.ts'

/** ms that clients have to trust the next CA before it signs, unless told otherwise. */
export const OVERLAP = 7 * 24 * 60 * 60 * 1000

/**
 * The CAs that clients should trust now, the one that signs first; none where the site has none yet.
 * Opens no key. Throws internal, store_unavailable.
 */
export async function describeAuthority(
  store: Pick<Store, 'vaultItem'>,
  clock: Clock,
): Promise<readonly TrustedCa[]> {
  const { signing, next } = await readItems(store)
  if (!signing) return []
  if (!next) return [describe('signs', signing)]
  if (isDue(next, clock)) return [describe('signs', next)]
  return [describe('signs', signing), describe('next', next)]
}

function describe(role: TrustedCa['role'], item: VaultItem): TrustedCa {
  const { certificate, signsFrom } = readOpen(item)
  return {
    role,
    subject: certificate.subject.replace(/^CN=/, ''),
    fingerprint: certificate.fingerprint256,
    validUntil: certificate.validToDate.getTime(),
    ...(role === 'next' ? { signsFrom } : {}),
  }
}

/** Whether the CA that waits is to sign by now. */
export function isDue(next: VaultItem, clock: Clock): boolean {
  return clock.now() >= (readOpen(next).signsFrom ?? 0)
}

/**
 * Puts the CA that waits in the place of the one that signs, where its time has come; the old one's key
 * is gone then. All of it happens or none, and once, however many ask.
 */
export async function takeOver(store: Store, sealer: Sealer, clock: Clock): Promise<void> {
  await store.transact(SYSTEM, async (inside) => {
    const { signing, next } = await readItems(inside)
    if (!signing || !next || !isDue(next, clock)) return
    const { version } = signing
    const moved = moveCa(sealer, { name: NEXT, item: next }, { name: SIGNING, version: version + 1 })
    await inside.replaceVaultItem(SYSTEM, SIGNING, version, moved)
    await inside.removeVaultItem(SYSTEM, NEXT)
  })
}

/**
 * Makes the CA that is to take over at `signsFrom` (Unix ms; in OVERLAP unless told), or moves the date
 * of the one that waits; one whose date has come signs at once. Without a date nothing is done to one
 * that waits. False where nothing changed. Throws bad_request for a date behind the end of the CA that
 * signs.
 */
export function rotate(
  store: Store,
  sealer: Sealer,
  clock: Clock,
  signsFrom: number | undefined,
): Promise<boolean> {
  return store.transact(SYSTEM, async (inside) => {
    await takeOver(inside, sealer, clock)
    const { signing, next } = await readItems(inside)
    if (!signing) {
      throw new LocumError('bad_request', 'The site has no CA yet.', { hint: 'locum ca export makes it.' })
    }
    if (next && (signsFrom === undefined || signsFrom === readOpen(next).signsFrom)) return false
    const now = clock.now()
    const from = signsFrom ?? now + OVERLAP
    const { certificate, generation } = readOpen(signing)
    const end = certificate.validToDate.getTime()
    if (from > Math.max(end, now)) {
      throw new LocumError('bad_request', 'The CA that signs now ends before the next one would take over.', {
        hint: `It ends on ${new Date(end).toISOString().slice(0, 10)}: name a time before.`,
      })
    }
    if (next) {
      const to = { name: NEXT, version: next.version + 1, signsFrom: from }
      await inside.replaceVaultItem(
        SYSTEM,
        NEXT,
        next.version,
        moveCa(sealer, { name: NEXT, item: next }, to),
      )
    } else {
      const { id } = await inside.site()
      const root = await makeRoot(id, now - BACKDATE, generation + 1)
      const item = sealRoot(sealer, NEXT, root, { generation: generation + 1, signsFrom: from })
      await inside.addVaultItem(SYSTEM, NEXT, item)
    }
    await takeOver(inside, sealer, clock)
    return true
  })
}
