import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { LocumError } from '../core/errors.ts'
import type { SealedPlace, Sealer, Store, VaultItem } from '../core/store.ts'
import { SYSTEM } from '../core/words.ts'
import type { Root } from './root.ts'

/** The vault's names for the CA that signs and for the one that is to take over from it. */
export const SIGNING = 'ca'
export const NEXT = 'ca-next'

/** A CA as it is kept: its certificate in the open, its key sealed. */
export interface KeptCa {
  readonly certificate: X509Certificate
  readonly key: KeyObject
  /** 1 for the site's first. */
  readonly generation: number
  /** Unix ms; of the one that is to take over alone. */
  readonly signsFrom?: number
}

const RESTORE = 'Something else has changed the store; restore it from a backup.'

/** What is open of a vault item that is a CA. Throws internal. */
export function readOpen({ open }: VaultItem): Omit<KeptCa, 'key'> {
  const generation = Number(open.generation ?? 1)
  const from = open.signsFrom === undefined ? undefined : Number(open.signsFrom)
  try {
    const certificate = new X509Certificate(open.certificate ?? '')
    if (!Number.isSafeInteger(generation) || !Number.isSafeInteger(from ?? 0))
      throw new RangeError('no number')
    return { certificate, generation, ...(from === undefined ? {} : { signsFrom: from }) }
  } catch (cause) {
    throw new LocumError('internal', "The site's CA cannot be read.", { cause, hint: RESTORE })
  }
}

/**
 * A CA with its key. Throws internal where it cannot be read, or where certificate, key and seal do not
 * belong together: only a certificate that its own key has signed, and no other, is taken.
 */
export function openCa(sealer: Sealer, name: string, item: VaultItem): KeptCa {
  const kept = readOpen(item)
  const { certificate } = kept
  const keyDer = sealer.open(placeOfKey(name, item.version), item.sealed)
  let key: KeyObject
  let sound: boolean
  try {
    key = createPrivateKey({ key: keyDer, format: 'der', type: 'pkcs8' })
    sound = certificate.ca && certificate.checkPrivateKey(key) && certificate.verify(certificate.publicKey)
  } catch (cause) {
    throw new LocumError('internal', "The site's CA cannot be read.", { cause, hint: RESTORE })
  } finally {
    keyDer.fill(0)
  }
  if (!sound) {
    throw new LocumError('internal', "The site CA's certificate and key do not belong together.", {
      hint: RESTORE,
    })
  }
  return { ...kept, key }
}

/** A new CA as a vault item of that name, its first version. */
export function sealRoot(
  sealer: Sealer,
  name: string,
  root: Root,
  open: { generation: number; signsFrom?: number },
): Omit<VaultItem, 'version'> {
  const sealed = sealer.seal(placeOfKey(name, 1), root.keyDer)
  root.keyDer.fill(0)
  return { sealed, open: openTexts(root.certificatePem, open) }
}

/** The same CA under another name, version or date: its key is sealed for where it will lie. */
export function moveCa(
  sealer: Sealer,
  from: { name: string; item: VaultItem },
  to: { name: string; version: number; signsFrom?: number },
): Omit<VaultItem, 'version'> {
  const keyDer = sealer.open(placeOfKey(from.name, from.item.version), from.item.sealed)
  const sealed = sealer.seal(placeOfKey(to.name, to.version), keyDer)
  keyDer.fill(0)
  const { certificate, generation } = readOpen(from.item)
  return { sealed, open: openTexts(certificate.toString(), { generation, signsFrom: to.signsFrom }) }
}

/** The CA that signs and the one that waits; of the second first, so that none is missed while it takes over. */
export async function readItems(
  store: Pick<Store, 'vaultItem'>,
): Promise<{ signing: VaultItem | undefined; next: VaultItem | undefined }> {
  const next = await store.vaultItem(SYSTEM, NEXT)
  const signing = await store.vaultItem(SYSTEM, SIGNING)
  const took = next !== undefined && signing?.open.certificate === next.open.certificate
  return { signing, next: took ? undefined : next }
}

function openTexts(
  certificate: string,
  { generation, signsFrom }: { generation: number; signsFrom?: number },
): Record<string, string> {
  return {
    certificate,
    ...(generation === 1 ? {} : { generation: String(generation) }),
    ...(signsFrom === undefined ? {} : { signsFrom: String(signsFrom) }),
  }
}

function placeOfKey(row: string, version: number): SealedPlace {
  return { table: 'certificates', row, field: 'privateKey', version, owner: 'site', audience: [] }
}
