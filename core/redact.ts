/**
 * Finds secrets in bytes, whole or across cuts, in the forms an upstream is likely to echo. The
 * search is Wu and Manber's ("A fast algorithm for multi-pattern searching", 1994): it looks at
 * about one byte in as many as the shortest form is long.
 */

/** Shorter secrets are not searched: they would be found by chance. Bytes. */
export const SHORTEST_SECRET = 8
const TABLE = 4096
const STAR = 0x2a

/** Every form of a secret that is searched for: see CONTRACT's list. Each at least 8 bytes long. */
export function formsOf(secret: string): Buffer[] {
  const raw = Buffer.from(secret, 'utf8')
  if (raw.length < SHORTEST_SECRET) return []
  const forms = new Set<string>([raw.toString('latin1')])
  for (let offset = 0; offset < 3; offset++) {
    const padded = Buffer.concat([Buffer.alloc(offset), raw])
    // The characters that these bytes alone decide: not those shared with a neighbour.
    const text = padded
      .toString('base64url')
      .slice(Math.ceil((offset * 8) / 6), Math.floor((padded.length * 8) / 6))
    forms.add(text)
    forms.add(text.replaceAll('-', '+').replaceAll('_', '/'))
  }
  const hex = raw.toString('hex')
  forms.add(hex).add(hex.toUpperCase())
  const everyByte = hex.replace(/../g, '%$&')
  forms.add(everyByte).add(everyByte.toUpperCase())
  for (const keep of [/[A-Za-z0-9\-_.!~*'()]/, /[A-Za-z0-9\-_.~]/, /[A-Za-z0-9\-_.~!$&'()*+,;=:@/?]/]) {
    const percent = [...raw].map((b) => percentByte(b, keep)).join('')
    const lower = percent.replace(/%../g, (code) => code.toLowerCase())
    for (const text of [percent, lower]) forms.add(text).add(text.replaceAll('%20', '+'))
  }
  for (const text of jsonForms(secret)) forms.add(Buffer.from(text, 'utf8').toString('latin1'))
  return [...forms]
    .filter((form) => form.length >= SHORTEST_SECRET)
    .map((form) => Buffer.from(form, 'latin1'))
}

function percentByte(byte: number, keep: RegExp): string {
  const char = String.fromCharCode(byte)
  return keep.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
}

/** As JSON.stringify writes it, with `/` escaped, and with what Go, PHP and Python write as `\\uXXXX`. */
function jsonForms(secret: string): string[] {
  const plain = JSON.stringify(secret).slice(1, -1)
  const unicode = (text: string, which: RegExp) =>
    text.replace(which, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const forms = new Set<string>()
  for (const text of [plain, unicode(plain, /[<>&]/g)]) {
    for (const ascii of [text, unicode(text, /[\u0080-\uffff]/g)]) {
      for (const slashed of [ascii, ascii.replaceAll('/', '\\/')]) {
        forms
          .add(slashed)
          .add(slashed.replace(/\\u[0-9a-f]{4}/g, (code) => `\\u${code.slice(2).toUpperCase()}`))
      }
    }
  }
  return [...forms]
}

/** A set of forms, ready to search with. */
export class Needles {
  readonly #forms: readonly Buffer[]
  readonly #shift: Uint16Array
  readonly #first: Uint8Array
  readonly #shortest: number
  readonly #longest: number

  /** Undefined where nothing of these secrets can be searched for. */
  static of(secrets: Iterable<string>): Needles | undefined {
    const forms = new Map<string, Buffer>()
    for (const secret of secrets) for (const form of formsOf(secret)) forms.set(form.toString('latin1'), form)
    return forms.size === 0 ? undefined : new Needles([...forms.values()])
  }

  private constructor(forms: readonly Buffer[]) {
    // Longest first, so that the longest at one place is the one that is masked.
    this.#forms = [...forms].sort((a, b) => b.length - a.length)
    this.#shortest = (this.#forms[this.#forms.length - 1] as Buffer).length
    this.#longest = (this.#forms[0] as Buffer).length
    const reach = Math.min(this.#shortest, 0xffff)
    this.#shift = new Uint16Array(TABLE).fill(reach - 1)
    this.#first = new Uint8Array(256)
    for (const form of forms) {
      this.#first[form[0] as number] = 1
      for (let j = 1; j < reach; j++) {
        const block = (((form[j - 1] as number) << 4) ^ (form[j] as number)) & (TABLE - 1)
        this.#shift[block] = Math.min(this.#shift[block] as number, reach - 1 - j)
      }
    }
  }

  /** Bytes of the longest form. */
  get longest(): number {
    return this.#longest
  }

  /** Whether latin1 text may hold a form; false is certain. */
  mayHold(text: string): boolean {
    const shift = this.#shift
    for (let at = this.#shortest - 1; at < text.length; ) {
      const step = shift[((text.charCodeAt(at - 1) << 4) ^ text.charCodeAt(at)) & (TABLE - 1)] as number
      if (step === 0) return true
      at += step
    }
    return false
  }

  /** Where forms stand: from, to, from, to… (they may overlap). Undefined where there is none. */
  find(bytes: Buffer): number[] | undefined {
    const shift = this.#shift
    const back = this.#shortest - 1
    let ranges: number[] | undefined
    for (let at = back; at < bytes.length; ) {
      const step = shift[(((bytes[at - 1] as number) << 4) ^ (bytes[at] as number)) & (TABLE - 1)] as number
      if (step !== 0) {
        at += step
        continue
      }
      const form = this.#matchAt(bytes, at - back)
      if (form !== undefined) {
        ranges ??= []
        ranges.push(at - back, at - back + form.length)
      }
      at++
    }
    return ranges
  }

  #matchAt(bytes: Buffer, from: number): Buffer | undefined {
    if (this.#first[bytes[from] as number] === 0) return undefined
    for (const form of this.#forms) {
      if (
        from + form.length <= bytes.length &&
        bytes.compare(form, 0, form.length, from, from + form.length) === 0
      ) {
        return form
      }
    }
    return undefined
  }

  /** How many bytes at the end could begin a form that is not whole yet. */
  openEnd(bytes: Buffer): number {
    for (let from = Math.max(0, bytes.length - this.#longest + 1); from < bytes.length; from++) {
      if (this.#first[bytes[from] as number] === 0) continue
      const rest = bytes.length - from
      for (const form of this.#forms) {
        if (form.length > rest && bytes.compare(form, 0, rest, from, bytes.length) === 0) return rest
      }
    }
    return 0
  }
}

/** Masks a latin1 text (a header's value, a reason phrase). Returns the text, and tells of each hit. */
export function maskText(needles: Needles, text: string, onHit: (hits: number) => void): string {
  if (!needles.mayHold(text)) return text
  const bytes = Buffer.from(text, 'latin1')
  const ranges = needles.find(bytes)
  if (!ranges) return text
  onHit(overwrite(bytes, ranges))
  return bytes.toString('latin1')
}

/** Overwrites the ranges with `*`, after the search, so that forms that overlap are all found. */
function overwrite(bytes: Buffer, ranges: readonly number[]): number {
  for (let i = 0; i < ranges.length; i += 2) bytes.fill(STAR, ranges[i], ranges[i + 1])
  return ranges.length / 2
}

/** Masks a stream. Only a suffix that could begin a secret is held back between chunks. */
export class StreamMask {
  readonly #needles: Needles
  #held: Buffer | undefined
  /** How many bytes at the start of what is held belong to a form that was found whole. */
  #heldFound = 0
  /** How many forms were masked so far. */
  hits = 0

  constructor(needles: Needles) {
    this.#needles = needles
  }

  /** What may go on now; the chunk's bytes are overwritten in place where it must be. */
  push(chunk: Buffer): Buffer | undefined {
    const bytes = this.#held ? Buffer.concat([this.#held, chunk]) : chunk
    const open = this.#needles.openEnd(bytes)
    const done = bytes.length - open
    // Held as it came: what ends one form can begin another.
    const held = open === 0 ? undefined : Buffer.from(bytes.subarray(done))
    const ranges = this.#needles.find(bytes)
    let found = this.#heldFound
    if (found > 0) bytes.fill(STAR, 0, found)
    if (ranges) {
      this.hits += overwrite(bytes, ranges)
      for (let i = 1; i < ranges.length; i += 2) found = Math.max(found, ranges[i] as number)
    }
    this.#held = held
    this.#heldFound = held ? Math.max(0, found - done) : 0
    if (!held) return bytes
    return done === 0 ? undefined : bytes.subarray(0, done)
  }

  /** What was held back and turned out to be nothing. */
  end(): Buffer | undefined {
    const held = this.#held
    this.#held = undefined
    if (held && this.#heldFound > 0) held.fill(STAR, 0, this.#heldFound)
    return held
  }
}
