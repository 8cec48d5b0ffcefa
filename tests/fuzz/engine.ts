import fc from 'fast-check'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'

/** Hostile inputs for one part of the house. Inputs are bytes as latin1 text. */
export interface Fuzzer {
  readonly name: string
  /** What must hold, in a sentence. */
  readonly promise: string
  /** Inputs that are nearly right, from which the others are made. */
  readonly corpus: readonly string[]
  /** Words that mean something here. */
  readonly words: readonly string[]
  /** Inputs by a grammar: every other one is made by it. */
  readonly grammar?: fc.Arbitrary<string>
  /** Of all inputs of a run. */
  readonly share: number
  /** Inputs under way at once. */
  readonly together?: number
  /** What every input is tried on; closed at the end. */
  open?(): Promise<() => Promise<void>>
  /** Whether the input was accepted; `random` decides what an attempt is free to choose. Throws `Broken`. */
  attempt(input: string, random: Random): boolean | Promise<boolean>
  /** Looks at what many attempts left behind. Throws `Broken`, and then each of them is tried alone. */
  settle?(): Promise<void>
}

/** What must hold does not. Any other error is a crash, which is as bad. */
export class Broken extends Error {}

export interface Failure {
  readonly fuzzer: string
  readonly seed: number
  readonly number: number
  /** As it was found, and the shortest that was found to fail alike. */
  readonly input: string
  readonly least: string
  readonly why: string
}

export interface Outcome {
  readonly fuzzer: string
  readonly inputs: number
  readonly accepted: number
  readonly seconds: number
  readonly failure: Failure | undefined
}

/** Inputs between two looks at what they left behind. */
const BATCH = 256

/** The input of that number in a run of that seed. */
export function inputOf({ corpus, words, grammar }: Fuzzer, seed: number, number: number): string {
  const random = new Random(seed, number)
  if (grammar && number % 2 === 1) {
    const [text = ''] = fc.sample(grammar, { seed: random.below(2 ** 31), numRuns: 1 })
    // What a grammar makes is right: half of it is spoilt.
    return random.next() < 0.5 ? text : mutate(random, [text], words)
  }
  return mutate(random, corpus, words)
}

/** Tries so many inputs, or for so long, until one fails. `told` hears of every batch. */
export async function run(
  fuzzer: Fuzzer,
  x: {
    seed: number
    inputs: number
    first?: number
    seconds?: number
    told?: (done: number, accepted: number, seconds: number) => void
  },
): Promise<Outcome> {
  const { seed, inputs, first = 0, seconds = Number.POSITIVE_INFINITY, told } = x
  const close = await fuzzer.open?.()
  const begun = performance.now()
  let accepted = 0
  let done = 0
  let failure: Failure | undefined
  try {
    while (done < inputs && !failure && performance.now() - begun < seconds * 1000) {
      const size = Math.min(BATCH, inputs - done)
      const numbers = Array.from({ length: size }, (_, i) => first + done + i)
      const batch = await tryAll(fuzzer, seed, numbers)
      accepted += batch.accepted
      done += size
      if (batch.failed !== undefined) failure = await explain(fuzzer, seed, batch.failed)
      told?.(done, accepted, (performance.now() - begun) / 1000)
    }
  } finally {
    await close?.()
  }
  return { fuzzer: fuzzer.name, inputs: done, accepted, seconds: (performance.now() - begun) / 1000, failure }
}

async function tryAll(fuzzer: Fuzzer, seed: number, numbers: readonly number[]) {
  const { together = 1 } = fuzzer
  let accepted = 0
  let failed: number | undefined
  const queue = [...numbers]
  const work = async () => {
    for (let number = queue.shift(); number !== undefined && failed === undefined; number = queue.shift()) {
      try {
        const random = new Random(~seed, number)
        const taken = fuzzer.attempt(inputOf(fuzzer, seed, number), random)
        if (taken instanceof Promise ? await taken : taken) accepted++
      } catch {
        failed = number
      }
    }
  }
  await Promise.all(Array.from({ length: together }, work))
  if (failed === undefined && fuzzer.settle) {
    try {
      await fuzzer.settle()
    } catch {
      for (const number of numbers) {
        if ((await faultOf(fuzzer, inputOf(fuzzer, seed, number), seed, number)) === undefined) continue
        failed = number
        break
      }
      if (failed === undefined)
        throw new Error(`${fuzzer.name}: inputs ${numbers[0]} and on fail together, and none alone`)
    }
  }
  return { accepted, failed }
}

/** What goes wrong with an input; undefined where nothing does. */
async function faultOf(
  fuzzer: Fuzzer,
  input: string,
  seed: number,
  number: number,
): Promise<string | undefined> {
  try {
    await fuzzer.attempt(input, new Random(~seed, number))
    await fuzzer.settle?.()
    return undefined
  } catch (error) {
    return error instanceof Broken ? error.message : ((error as Error).stack ?? String(error))
  }
}

async function explain(fuzzer: Fuzzer, seed: number, number: number): Promise<Failure> {
  const input = inputOf(fuzzer, seed, number)
  const why = await faultOf(fuzzer, input, seed, number)
  // It needs what came before it: told as it was found.
  if (why === undefined)
    return { fuzzer: fuzzer.name, seed, number, input, least: input, why: 'it fails only beside others' }
  const least = await minimise(
    input,
    async (text) => kindOf(await faultOf(fuzzer, text, seed, number)) === kindOf(why),
  )
  return {
    fuzzer: fuzzer.name,
    seed,
    number,
    input,
    least,
    why: (await faultOf(fuzzer, least, seed, number)) ?? why,
  }
}

/** Faults that differ in what they quote are of one kind. */
function kindOf(why: string | undefined): string | undefined {
  return why?.split('\n')[0]?.replace(/".*"|\d+/g, '')
}

/** Takes pieces out, large ones first, as long as it still fails. */
export async function minimise(input: string, fails: (text: string) => Promise<boolean>): Promise<string> {
  let least = input
  for (let size = Math.max(1, least.length >> 1); size >= 1; size >>= 1) {
    for (let at = 0; at < least.length; ) {
      const text = least.slice(0, at) + least.slice(at + size)
      if (await fails(text)) least = text
      else at += size
    }
  }
  return least
}

/** For people: what failed, and how to see it again. */
export function report({ fuzzer, seed, number, input, least, why }: Failure): string {
  return `${fuzzer}: ${why}
  input ${number}: ${JSON.stringify(input.slice(0, 2000))}
  least: ${JSON.stringify(least.slice(0, 2000))}
  again: npm run fuzz -- --fuzzer ${fuzzer} --seed ${seed} --first ${number} --inputs 1
`
}
