import { createSecretKey, type KeyObject } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { LocumError } from '../core/errors.ts'
import type { Random } from './keyring.ts'

const KEY_BYTES = 32
const FILE = 'master.key'

export interface MasterKeySource {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The data folder. */
  readonly data: string
  readonly random: Random
  /** False where the database already has data keys: a new key could never open them. */
  readonly mayMake: boolean
}

/**
 * The key that wraps the data keys: `LOCUM_MASTER_KEY` (32 bytes in base64 or hex), or the file that
 * `LOCUM_MASTER_KEY_FILE` names (the same, or the 32 bytes as they are), or `master.key` in the data
 * folder, made where `mayMake`. Throws bad_request for a text that is no key, internal where the key
 * is missing.
 */
export function findMasterKey({ env, data, random, mayMake }: MasterKeySource): KeyObject {
  const text = env.LOCUM_MASTER_KEY
  if (text !== undefined) return parseMasterKey(Buffer.from(text, 'utf8'), 'LOCUM_MASTER_KEY')
  const named = env.LOCUM_MASTER_KEY_FILE
  if (named !== undefined) {
    return parseMasterKey(readKeyFile(named) ?? missing('the file that LOCUM_MASTER_KEY_FILE names'), named)
  }
  const path = join(data, FILE)
  const kept = readKeyFile(path)
  if (kept) return parseMasterKey(kept, path)
  if (!mayMake) throw missing(path)
  return parseMasterKey(makeKeyFile(data, path, random), path)
}

function missing(what: string): never {
  throw new LocumError('internal', `The master key is missing: ${what}.`, {
    hint: 'The database has data keys that only it can open: put it back from where it was kept. No new key was made.',
  })
}

function parseMasterKey(content: Buffer, from: string): KeyObject {
  const bytes = keyBytes(content)
  content.fill(0)
  if (!bytes) {
    throw new LocumError('bad_request', `${from} does not hold a master key.`, {
      hint: 'It is 32 bytes in base64 or hex: openssl rand -base64 32',
    })
  }
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}

function keyBytes(content: Buffer): Buffer | undefined {
  if (content.length === KEY_BYTES) return Buffer.from(content)
  const text = content.toString('latin1').trim()
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex')
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return Buffer.from(text, 'base64')
  return undefined
}

function readKeyFile(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new LocumError('internal', `The master key at ${path} cannot be read.`, {
      hint: 'Look at the permissions of the file and its folder.',
      cause,
    })
  }
}

/** Never overwrites: the finished file is linked into place, and whoever came first has made the key. */
function makeKeyFile(data: string, path: string, random: Random): Buffer {
  const bytes = random(KEY_BYTES)
  const content = Buffer.from(`${bytes.toString('base64')}\n`, 'latin1')
  bytes.fill(0)
  const draft = `${path}.${random(6).toString('hex')}.new`
  try {
    const fd = openSync(draft, 'wx', 0o600)
    try {
      writeSync(fd, content)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    try {
      linkSync(draft, path)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    } finally {
      unlinkSync(draft)
    }
    syncFolder(data)
    return readFileSync(path)
  } catch (cause) {
    throw new LocumError('internal', `The master key cannot be written at ${path}.`, {
      hint: 'Look at the permissions of the folder, and whether the disk is full or read-only.',
      cause,
    })
  }
}

/** So that the name itself survives a power failure. */
function syncFolder(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
