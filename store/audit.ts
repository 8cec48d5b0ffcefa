import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Audit, AuditEntry } from '../core/audit.ts'
import type { Clock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import { chainStart, chainStep } from './audit-chain.ts'
import type { Random } from './keyring.ts'

/** ms until what was written is on the disk. */
const SYNC_WITHIN = 40
/** What one turn of the event loop records, as a rule; what is longer gets a buffer of its own. */
const BUFFER_BYTES = 64 * 1024
/** A hash as text. */
const HASH_BYTES = 64
/** Around the hash in the last record of a write. */
const END = ',"hash":"'
const END_BEHIND = '"}\n'
/** Characters of outcomes that may wait while the disk takes nothing; then `recordSoon` throws as well. */
const WAITING_LIMIT = 4 * 1024 * 1024

export interface AuditOptions {
  /** The folder, made (0700) with the first record. */
  readonly folder: string
  /** The site's id. */
  readonly site: string
  readonly clock: Clock
  readonly random: Random
  /** Signs the start of a file's chain: who has only the folder cannot begin one. */
  readonly signStart: (start: string) => string
  /** As `fs.writeSync`, for tests of disks that fail. */
  readonly write?: (fd: number, bytes: Uint8Array) => number
  /** As `fs.fdatasync`. */
  readonly sync?: (fd: number, done: (error: Error | null) => void) => void
  /** As `fs.fdatasyncSync`. */
  readonly syncNow?: (fd: number) => void
}

type Then = (error: LocumError | undefined) => void

/** Where a file's chain stands. */
export interface ChainState {
  readonly file: string
  readonly records: number
  readonly hash: string
}

/** The file that is being written. */
interface Open {
  readonly file: string
  readonly fd: number
  /** Bytes of whole records. */
  size: number
  records: number
  hash: string
  /** What the first record says beside the entry: the site, and the signature of the chain's start. */
  readonly start: string
}

/**
 * One process's own audit file: JSON lines, each with its number and its time; the last of each write
 * has a hash over all of its records and the hash before. What is in the file are always whole writes:
 * one that fails half-way is cut off again, or the file is left and another begun.
 */
export class AuditFile implements Audit {
  readonly #options: AuditOptions
  readonly #write: (fd: number, bytes: Uint8Array) => number
  readonly #syncWaiting: (fd: number) => void
  /** Whether every record waits until the disk has it; else until the operating system has. */
  #toDisk = false
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #open: Open | undefined
  /** Outcomes that wait for the end of the turn, without number and hash. */
  #waiting: string[] = []
  #waitingSize = 0
  /** Uses of this turn, likewise, and what is told of each. */
  #uses: string[] = []
  #thens: Then[] = []
  #flushing = false
  #syncing: NodeJS.Timeout | undefined
  #unsynced: unknown
  #closed = false
  #at = Number.NaN
  #atText = ''
  /** Called with the first record after `states`: something is not covered by a checkpoint. */
  readonly #onGrown: () => void
  #grown = false
  #left: ChainState[] = []

  constructor(options: AuditOptions, onGrown: () => void) {
    this.#options = options
    this.#write = options.write ?? writeSync
    this.#syncWaiting = options.syncNow ?? fdatasyncSync
    this.#onGrown = onGrown
  }

  /** From now on a record counts only when the disk has it. */
  waitForDisk(): void {
    this.#toDisk = true
  }

  record(entry: AuditEntry): void {
    // The database syncs its commits: a change must not outlive what the audit says of it.
    this.#append([this.#line(entry)], entry.event === 'rows' || this.#toDisk)
  }

  recordSoon(entry: AuditEntry): void {
    if (this.#closed || this.#waitingSize > WAITING_LIMIT) throw notRecorded()
    const line = this.#line(entry)
    this.#waiting.push(line)
    this.#waitingSize += line.length
    this.#planFlush()
  }

  recordThen(entry: AuditEntry, then: Then): void {
    this.#uses.push(this.#line(entry))
    this.#thens.push(then)
    this.#planFlush()
  }

  /** Where the files of this process stand: those left behind, then the one being written. */
  states(): { readonly left: readonly ChainState[]; readonly current: ChainState | undefined } {
    this.#grown = false
    const open = this.#open
    return {
      left: this.#left,
      current: open && { file: open.file, records: open.records, hash: open.hash },
    }
  }

  /** The checkpoints of these files are stored as final: nothing more is to be said about them. */
  forget(left: readonly ChainState[]): void {
    this.#left = this.#left.filter((state) => !left.includes(state))
  }

  /** Writes what waits, syncs, closes the file. Throws as `record`, which takes nothing from then on. */
  close(): void {
    try {
      if (this.#waiting.length > 0) this.#append([])
    } finally {
      this.#closed = true
      clearTimeout(this.#syncing)
      this.#syncing = undefined
      const open = this.#open
      if (open) {
        this.#syncNow(open)
        this.#leave(open)
      }
    }
  }

  #line(entry: AuditEntry): string {
    const now = this.#options.clock.now()
    if (now !== this.#at) {
      this.#at = now
      this.#atText = new Date(now).toISOString()
    }
    const by = 'actor' in entry ? '' : '"actor":"program",'
    return `"at":"${this.#atText}",${by}${JSON.stringify(entry).slice(1, -1)}`
  }

  #planFlush(): void {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  /** Nobody waits for an outcome: where the write fails it stays queued, and the uses are refused instead. */
  #flush(): void {
    if (this.#waiting.length + this.#uses.length === 0) return
    const thens = this.#thens
    let error: LocumError | undefined
    try {
      this.#append(this.#uses)
    } catch (thrown) {
      if (!(thrown instanceof LocumError)) throw thrown
      error = thrown
    }
    this.#uses = []
    this.#thens = []
    for (const then of thens) then(error)
  }

  /** What waits and then `lines`, in one write. On failure the file and the chain are as before. */
  #append(lines: readonly string[], synced = this.#toDisk): void {
    if (this.#closed) throw notRecorded()
    if (this.#unsynced !== undefined) {
      const cause = this.#unsynced
      this.#unsynced = undefined
      throw notRecorded(cause)
    }
    const open = this.#open ?? this.#begin()
    let { records } = open
    let text = ''
    const add = (inner: string) => {
      text += `${text === '' ? '' : '}\n'}{"seq":${++records},${records === 1 ? open.start : ''}${inner}`
    }
    for (const waiting of this.#waiting) add(waiting)
    for (const line of lines) add(line)

    this.#writeWhole(open, asciiJson(text))
    open.records = records
    if (this.#waiting.length > 0) {
      this.#waiting = []
      this.#waitingSize = 0
    }
    if (!this.#grown) {
      this.#grown = true
      this.#onGrown()
    }
    if (synced && lines.length > 0) this.#syncNow(open)
    else this.#syncing ??= this.#syncLater()
  }

  #begin(): Open {
    const { folder, site, clock, random, signStart } = this.#options
    const time = new Date(clock.now()).toISOString().replace(/[-:.]/g, '')
    const file = `${time}-${process.pid}-${random(6).toString('hex')}.jsonl`
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      const fd = openSync(join(folder, file), flags, 0o600)
      const hash = chainStart(site, file)
      const start = `"site":"${site}","signature":"${signStart(hash)}",`
      this.#open = { file, fd, size: 0, records: 0, hash, start }
    } catch (cause) {
      throw notRecorded(cause)
    }
    return this.#open
  }

  /** Adds the records' text, which is ASCII and ends before their hash, with the hash. Moves `open` on. */
  #writeWhole(open: Open, text: string): void {
    const end = HASH_BYTES + text.length
    const size = end + END.length + HASH_BYTES + END_BEHIND.length
    // Latin-1 into a buffer that is there already: half the time of handing `writeSync` the string.
    const bytes = size <= this.#buffer.length ? this.#buffer : Buffer.allocUnsafe(size)
    bytes.write(open.hash, 0, 'latin1')
    bytes.write(text, HASH_BYTES, 'latin1')
    const hash = chainStep(bytes.subarray(0, end))
    bytes.write(END + hash + END_BEHIND, end, 'latin1')
    try {
      for (let done = HASH_BYTES; done < size; ) {
        const more = this.#write(open.fd, bytes.subarray(done, size))
        if (more <= 0) throw new Error('The write made no progress.')
        done += more
      }
    } catch (cause) {
      this.#cutBack(open)
      throw notRecorded(cause)
    }
    open.size += size - HASH_BYTES
    open.hash = hash
  }

  #cutBack(open: Open): void {
    try {
      ftruncateSync(open.fd, open.size)
    } catch {
      // What follows the last whole record cannot be helped: this file ends here, and the next record begins another.
      this.#leave(open)
    }
  }

  #leave(open: Open): void {
    this.#open = undefined
    this.#left = [...this.#left, { file: open.file, records: open.records, hash: open.hash }]
    closeSync(open.fd)
  }

  #syncNow(open: Open): void {
    try {
      this.#syncWaiting(open.fd)
    } catch (cause) {
      this.#leave(open)
      throw notRecorded(cause)
    }
  }

  #syncLater(): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#syncing = undefined
      const open = this.#open
      if (!open) return
      const sync = this.#options.sync ?? fdatasync
      sync(open.fd, (error) => {
        // The kernel may have dropped the pages it could not write: the next use must not go on as if nothing was.
        if (!error || this.#open !== open) return
        this.#unsynced = error
        this.#leave(open)
      })
    }, SYNC_WITHIN)
    timer.unref()
    return timer
  }
}

/** JSON with every character beyond ASCII escaped, so that a character is a byte. */
function asciiJson(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : text.replace(BEYOND_ASCII, escapeUnit)
}

const BEYOND_ASCII = /[^\0-\x7f]/g

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function notRecorded(cause?: unknown): LocumError {
  return new LocumError('internal', 'The use could not be recorded, so it did not happen.', {
    hint: 'Look at the disk and the permissions of the audit folder.',
    cause,
  })
}
