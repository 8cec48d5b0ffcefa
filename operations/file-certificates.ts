import { X509Certificate } from 'node:crypto'
import type { Json, JsonObject } from '../core/secret.ts'
import type { Path } from './document.ts'
import type { Report } from './report.ts'
import type { ReadText } from './secret-source.ts'

/** What is written, with the certificates of the files that it names in these places instead of their paths. */
export async function withFiles(
  config: JsonObject,
  places: readonly (readonly string[])[],
  readText: ReadText,
  problem: Report,
  at: Path,
): Promise<JsonObject> {
  const whole = structuredClone(config) as { [key: string]: Json }
  for (const place of places) {
    const inner = place.slice(0, -1).reduce<Json | undefined>((from, step) => memberOf(from, step), whole)
    const name = place.at(-1) as string
    const path = memberOf(inner, name)
    if (typeof path !== 'string') continue
    const pem = await readCa(path, readText, problem, [...at, ...place])
    if (pem !== undefined) (inner as { [key: string]: Json })[name] = pem
  }
  return whole
}

function memberOf(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return (value as JsonObject)[name]
}

/** PEM certificates, and nothing else that may stand beside them. What is wrong is reported at `ca`. */
export async function readCa(
  path: string,
  readText: ReadText,
  problem: Report,
  at: Path = ['ca'],
): Promise<string | undefined> {
  const read = await readText(path)
  if ('problem' in read) {
    problem(at, read.problem)
    return undefined
  }
  const blocks = read.text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) {
    problem(at, `${path} holds no PEM certificate`)
    return undefined
  }
  for (const [i, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch {
      // OpenSSL's reasons are about its own parser; which certificate it is helps more.
      problem(at, `certificate ${i + 1} in ${path} cannot be read`)
      return undefined
    }
  }
  return `${blocks.join('\n')}\n`
}
