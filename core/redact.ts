import { formsOf, wideFormsOf } from './secret-forms.ts'

/**
 * Finds secrets in bytes, whole or across cuts. The search is Wu and Manber's ("A fast algorithm for
 * multi-pattern searching", 1994): it looks at the last three bytes of a window as long as the
 * shortest form, and moves on by as much as no form allows a beginning in between.
 */

/** A window is no longer than this: more would fill the table, and gain little. Bytes. */
const WINDOW = 32
/** Entries of the shift table for each block of three bytes in the forms' windows, and their bounds. */
const ROOM = 8
const TABLE_BITS = { fewest: 12, most: 16 } as const
const BLOCK = 3
const STAR = 0x2a

type Forms = readonly Buffer[]

/** A set of forms, ready to search with. */
export class Needles {
  /** How far the window may move when a block with this hash stands at its end; 0: a form may be here. */
  readonly #shift: Uint8Array
  readonly #window: number
  /** The furthest that the window may move. */
  readonly #far: number
  /** Bytes of the longest form. */
  readonly longest: number
  /** By the hash of the block at the window's end, longest first. */
  readonly #byEnd = new Map<number, Forms>()
  /** By the first byte. */
  readonly #byStart: (Forms | undefined)[]
  readonly #secrets: readonly string[]
  #wide: Needles | undefined

  /** Undefined where nothing of these secrets can be searched for. */
  static of(secrets: Iterable<string>): Needles | undefined {
    const all = [...secrets]
    const forms = distinct(all.flatMap(formsOf))
    return forms.length === 0 ? undefined : new Needles(forms, all)
  }

  private constructor(forms: Forms, secrets: readonly string[]) {
    this.#secrets = secrets
    // Longest first, so that the longest at one place is the one that is masked.
    const sorted = [...forms].sort((a, b) => b.length - a.length)
    this.longest = (sorted[0] as Buffer).length
    this.#window = Math.min((sorted[sorted.length - 1] as Buffer).length, WINDOW)
    this.#far = this.#window - BLOCK + 1
    const blocks = sorted.length * this.#far
    const bits = Math.ceil(Math.log2(blocks * ROOM))
    const size = 2 ** Math.min(Math.max(bits, TABLE_BITS.fewest), TABLE_BITS.most)
    this.#shift = new Uint8Array(size).fill(this.#far)
    this.#byStart = new Array<Forms | undefined>(256).fill(undefined)
    for (const form of sorted) {
      for (let end = BLOCK - 1; end < this.#window; end++) {
        const block = hashOf(form[end - 2] as number, form[end - 1] as number, form[end] as number)
        const hash = block & (size - 1)
        this.#shift[hash] = Math.min(this.#shift[hash] as number, this.#window - 1 - end)
        if (end === this.#window - 1) this.#byEnd.set(hash, [...(this.#byEnd.get(hash) ?? []), form])
      }
      const first = form[0] as number
      this.#byStart[first] = [...(this.#byStart[first] ?? []), form]
    }
  }

  /** For text in UTF-16: with every form in that, beside the others. */
  get wide(): Needles {
    const secrets = this.#secrets
    this.#wide ??= new Needles(
      distinct(secrets.flatMap((secret) => [...formsOf(secret), ...wideFormsOf(secret)])),
      secrets,
    )
    return this.#wide
  }

  /** Whether latin1 text may hold a form; false is certain. */
  mayHold(text: string): boolean {
    const shift = this.#shift
    const mask = shift.length - 1
    for (let at = this.#window - 1; at < text.length; ) {
      const block = hashOf(text.charCodeAt(at - 2), text.charCodeAt(at - 1), text.charCodeAt(at))
      const step = shift[block & mask] as number
      if (step === 0) return true
      at += step
    }
    return false
  }

  /** Where forms stand: from, to, from, to… (they may overlap). Undefined where there is none. */
  find(bytes: Buffer): number[] | undefined {
    const shift = this.#shift
    const mask = shift.length - 1
    const far = this.#far
    const back = this.#window - 1
    const { length } = bytes
    let ranges: number[] | undefined
    for (let at = back; at < length; ) {
      // A loop of its own, since a step of known width need not wait for the table: twice as fast.
      while (
        at < length &&
        shift[hashOf(bytes[at - 2] as number, bytes[at - 1] as number, bytes[at] as number) & mask] === far
      )
        at += far
      if (at >= length) break
      const hash = hashOf(bytes[at - 2] as number, bytes[at - 1] as number, bytes[at] as number) & mask
      const step = shift[hash] as number
      if (step !== 0) {
        at += step
        continue
      }
      const from = at - back
      for (const form of this.#byEnd.get(hash) as Forms) {
        if (form.length > length - from || !stands(form, form.length, bytes, from)) continue
        ranges ??= []
        ranges.push(from, from + form.length)
        break
      }
      at++
    }
    return ranges
  }

  /** How many bytes at the end could begin a form that is not whole yet. */
  openEnd(bytes: Buffer): number {
    for (let from = Math.max(0, bytes.length - this.longest + 1); from < bytes.length; from++) {
      const forms = this.#byStart[bytes[from] as number]
      if (forms === undefined) continue
      const rest = bytes.length - from
      for (const form of forms) {
        if (form.length <= rest) break
        if (stands(form, rest, bytes, from)) return rest
      }
    }
    return 0
  }
}

function distinct(forms: Forms): Forms {
  return [...new Map(forms.map((form) => [form.toString('latin1'), form])).values()]
}

/** 16 bits of three bytes; the low bits tell texts apart best. */
function hashOf(a: number, b: number, c: number): number {
  return (a << 8) ^ (b << 4) ^ c
}

/** Whether the first `length` bytes of the form stand there. Mostly the first few tell. */
function stands(form: Buffer, length: number, bytes: Buffer, from: number): boolean {
  for (let i = 0; i < length; i++) if (form[i] !== bytes[from + i]) return false
  return true
}

/** Masks a latin1 text (a header's value, a reason phrase). Returns the text, and tells of each hit. */
export function maskText(needles: Needles, text: string, onHit: (hits: number) => void): string {
  if (!needles.mayHold(text)) return text
  const bytes = Buffer.from(text, 'latin1')
  const ranges = needles.find(bytes)
  if (!ranges) return text
  // After the search, so that forms that overlap are all found.
  for (let i = 0; i < ranges.length; i += 2) bytes.fill(STAR, ranges[i], ranges[i + 1])
  onHit(ranges.length / 2)
  return bytes.toString('latin1')
}

/**
 * Masks a stream: however it is cut, the same bytes come out. Only a suffix that could begin a secret
 * is held back between chunks.
 */
export class StreamMask {
  readonly #needles: Needles
  /** As it came: what ends one form can begin another. */
  #held: Buffer | undefined
  /** How many bytes at the start of what is held belong to a form that began before it. */
  #heldFound = 0
  /** How many forms were masked in what has gone on. */
  hits = 0

  constructor(needles: Needles) {
    this.#needles = needles
  }

  /** How many bytes are held back. */
  get open(): number {
    return this.#held?.length ?? 0
  }

  /** What may go on now; the chunk's bytes are overwritten in place where they must be. */
  push(chunk: Buffer): Buffer | undefined {
    const parts: Buffer[] = []
    this.pass(chunk, { write: (bytes) => parts.push(bytes) > 0 })
    return parts.length > 1 ? Buffer.concat(parts) : parts[0]
  }

  /**
   * As `push`, but what may go on now is written, in a piece or two: what was held back is not copied
   * together with what comes behind it. False where one of the writes said so.
   */
  pass(chunk: Buffer, to: { write(bytes: Buffer): boolean }): boolean {
    const held = this.#held
    if (held === undefined) return this.#passWhole(chunk, to)
    const reach = this.#needles.longest - 1
    if (chunk.length <= reach) return this.#passWhole(Buffer.concat([held, chunk]), to)
    // Whatever begins in what was held back ends in here.
    const seam = Buffer.concat([held, chunk.subarray(0, reach)])
    const overlap = this.#mask(seam, held.length) - held.length
    this.#held = undefined
    this.#heldFound = Math.max(0, overlap)
    const room = to.write(seam.subarray(0, held.length))
    return this.#passWhole(chunk, to) && room
  }

  /** Bytes that nothing is held back before. */
  #passWhole(bytes: Buffer, to: { write(bytes: Buffer): boolean }): boolean {
    const done = bytes.length - this.#needles.openEnd(bytes)
    const held = done === bytes.length ? undefined : Buffer.from(bytes.subarray(done))
    const found = this.#mask(bytes, done)
    this.#held = held
    this.#heldFound = Math.max(0, found - done)
    if (!held) return to.write(bytes)
    return done === 0 || to.write(bytes.subarray(0, done))
  }

  /** What was held back, masked where a whole form stands in it. */
  end(): Buffer | undefined {
    const held = this.#held
    if (held) this.#mask(held, held.length)
    this.#held = undefined
    this.#heldFound = 0
    return held
  }

  /**
   * Masks the forms that begin before `done`; the rest is searched again with what comes next.
   * Returns where the last of them ends.
   */
  #mask(bytes: Buffer, done: number): number {
    const ranges = this.#needles.find(bytes)
    let found = this.#heldFound
    bytes.fill(STAR, 0, found)
    if (!ranges) return found
    for (let i = 0; i < ranges.length && (ranges[i] as number) < done; i += 2) {
      const to = ranges[i + 1] as number
      bytes.fill(STAR, ranges[i], to)
      if (to > found) found = to
      this.hits++
    }
    return found
  }
}
