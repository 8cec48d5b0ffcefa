import type { Random } from './random.ts'

/** Bytes that mean something to some reader of text. */
const BYTES = [
  0, 1, 9, 10, 11, 12, 13, 32, 34, 35, 37, 38, 39, 43, 44, 45, 46, 47, 48, 58, 59, 60, 61, 62, 64, 91, 92, 93,
  95, 123, 125, 127, 128, 133, 160, 255,
]

const LARGEST = 64 * 1024

/** What is done to bytes; latin1 text, since slicing it is cheap. */
const STEPS: readonly ((
  text: string,
  random: Random,
  words: readonly string[],
  corpus: readonly string[],
) => string)[] = [
  (text, random) => put(text, random.below(text.length + 1), 1, String.fromCharCode(random.below(256))),
  (text, random) => put(text, random.below(text.length + 1), 1, String.fromCharCode(random.pick(BYTES))),
  (text, random) => put(text, random.below(text.length + 1), 0, String.fromCharCode(random.pick(BYTES))),
  (text, random) => put(text, random.below(text.length + 1), 1 + random.below(8), ''),
  (text, random, words) => put(text, random.below(text.length + 1), 0, random.pick(words)),
  (text, random, words) => {
    const word = random.pick(words)
    return put(text, random.below(text.length + 1), word.length, word)
  },
  // A word for one that is there.
  (text, random, words) => {
    const old = random.pick(words)
    const at = text.indexOf(old, random.below(text.length + 1))
    return at < 0
      ? put(text, random.below(text.length + 1), 0, old)
      : put(text, at, old.length, random.pick(words))
  },
  // A piece again, here or elsewhere.
  (text, random) => {
    const from = random.below(text.length + 1)
    const piece = text.slice(from, from + 1 + random.below(60))
    return put(text, random.below(text.length + 1), 0, piece.repeat(1 + random.below(3)))
  },
  (text, random) => {
    const at = random.below(text.length + 1)
    const piece = text.slice(at, at + 1 + random.below(12))
    return put(text, at, piece.length, random.next() < 0.5 ? upper(piece) : piece.toLowerCase())
  },
  // The beginning of one and the end of another.
  (text, random, _, corpus) => {
    const other = random.pick(corpus)
    return text.slice(0, random.below(text.length + 1)) + other.slice(random.below(other.length + 1))
  },
  (text, random) => text.slice(0, random.below(text.length + 1)),
  // Numbers that are one off, and that are no numbers any more.
  (text, random) => {
    const numbers = [...text.matchAll(/\d+/g)]
    if (numbers.length === 0) return text
    const { 0: digits, index } = random.pick(numbers)
    const value = Number(digits)
    return put(
      text,
      index,
      digits.length,
      random.pick([
        `${value + 1}`,
        `${value - 1}`,
        `0${digits}`,
        `${digits}0`,
        `0x${digits}`,
        `${digits}e1`,
        '-1',
        '',
      ]),
    )
  },
]

/** ASCII alone: of another letter the capital may be no byte. */
function upper(text: string): string {
  return text.replace(/[a-z]/g, (letter) => letter.toUpperCase())
}

function put(text: string, at: number, gone: number, piece: string): string {
  return text.slice(0, at) + piece + text.slice(at + gone)
}

/** One of the corpus, changed a few times. */
export function mutate(random: Random, corpus: readonly string[], words: readonly string[]): string {
  let text = random.pick(corpus)
  const times = 1 + Math.floor(-Math.log(1 - random.next()) * 3)
  for (let i = 0; i < times; i++) text = random.pick(STEPS)(text, random, words, corpus)
  return text.slice(0, LARGEST)
}
