import { inspect } from 'node:util'
import { createInterface } from 'node:readline'

/** Longer bodies are told by their length alone. */
const LONGEST = 65_536

/**
 * Reads steps from stdin, a line of `name, url, key, file` with tabs between, takes them one after the
 * other by `ask`, and says what came of each as a line of JSON: an error as Node shows one that nobody
 * caught. A `key` goes in Locum-Authorization; a `file` is uploaded.
 */
export async function take(ask) {
  for await (const line of createInterface({ input: process.stdin })) {
    const [name, url, key, file] = line.split('\t')
    const headers = {
      Authorization: process.env.AUTHORIZATION,
      ...(key && { 'Locum-Authorization': `Bearer ${key}` }),
    }
    let took
    try {
      const { status, echo = '', body } = await ask({ url, headers, file })
      took = { status, echo: echo ?? '', body: body.length > LONGEST ? `${body.length} bytes` : body }
    } catch (error) {
      took = { error: inspect(error, { depth: 6 }) }
    }
    console.log(JSON.stringify({ name, ...took }))
  }
}

/** Takes an SDK's steps one after the other, each a function, and says what came of each as a line of JSON. */
export async function takeEach(steps) {
  for (const [name, step] of Object.entries(steps)) {
    let took
    try {
      took = { value: await step() }
    } catch (error) {
      took = { error: inspect(error, { depth: 6 }) }
    }
    console.log(JSON.stringify({ name, ...took }))
  }
}
