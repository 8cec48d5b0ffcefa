import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** So many bytes of a canary, wherever they begin, are as bad as the whole. */
const PIECE = 16

/** A text as nine kinds of programs write it. */
const WRITTEN: Readonly<Record<string, (text: string) => readonly Buffer[]>> = {
  'as it stands': (text) => [Buffer.from(text)],
  base64: (text) => base64Of(text),
  base64url: (text) =>
    base64Of(text).map((form) => Buffer.from(form.toString().replaceAll('+', '-').replaceAll('/', '_'))),
  hex: (text) => [Buffer.from(hexOf(text))],
  'hex in capitals': (text) => [Buffer.from(hexOf(text).toUpperCase())],
  percent: (text) => [
    Buffer.from(hexOf(text).replace(/../g, '%$&')),
    Buffer.from(hexOf(text).toUpperCase().replace(/../g, '%$&')),
  ],
  'JSON escapes': (text) => [
    Buffer.from([...text].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')),
  ],
  'HTML entities': (text) => [Buffer.from([...text].map((char) => `&#${char.charCodeAt(0)};`).join(''))],
  'UTF-16': (text) => [Buffer.from(text, 'utf16le')],
}

/** The characters that the text alone decides, at each offset. */
function base64Of(text: string): Buffer[] {
  return [0, 1, 2].map((offset) => {
    const coded = Buffer.from('.'.repeat(offset) + text).toString('base64')
    return Buffer.from(coded.slice(offset === 0 ? 0 : 4, -4))
  })
}

function hexOf(text: string): string {
  return Buffer.from(text).toString('hex')
}

/** Marked secrets, and what finds them. */
export class Canaries {
  readonly #texts = new Map<string, string>()
  readonly #forms: { what: string; bytes: Buffer }[] = []

  /** A secret by which the place where it was entered is known. Letters and digits, 40 of them. */
  make(name: string): string {
    return this.watch(name, `cny${randomBytes(32).toString('base64url').replace(/[-_]/g, 'x').slice(0, 37)}`)
  }

  /** One that was made elsewhere. */
  watch(name: string, text: string): string {
    this.#texts.set(name, text)
    for (let at = 0; at + PIECE <= text.length; at += PIECE)
      for (const [form, write] of Object.entries(WRITTEN))
        for (const bytes of write(text.slice(at, at + PIECE)))
          this.#forms.push({ what: `${name}, ${form}`, bytes })
    return text
  }

  /** Those that stand in the bytes, each with how it is written. `but`: names that belong there. */
  findIn(bytes: Buffer | string, but: readonly string[] = []): string[] {
    const text = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes
    const found = this.#forms.filter(
      ({ what, bytes: form }) => !but.includes(what.split(',')[0] as string) && text.includes(form),
    )
    return [...new Set(found.map(({ what }) => what))]
  }

  /** Likewise in every file of a folder, however deep: `file: what`. */
  findBelow(folder: string, but: Readonly<Record<string, readonly string[]>> = {}): string[] {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
      const path = join(folder, name)
      if (!statSync(path).isFile()) return []
      return this.findIn(readFileSync(path), but[name]).map((what) => `${name}: ${what}`)
    })
  }
}
