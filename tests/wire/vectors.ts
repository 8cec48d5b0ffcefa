import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = process.env.LOCUM_VECTORS ?? fileURLToPath(new URL('../../../shared/vectors', import.meta.url))

/** Options of a test that reads borrowed vectors: it says why where they are absent. */
export const needsVectors: { skip?: string } = existsSync(folder)
  ? {}
  : { skip: 'borrowed vectors are not here; set LOCUM_VECTORS' }

export function readVectors<T>(path: string): T {
  return JSON.parse(readFileSync(`${folder}/${path}`, 'utf8')) as T
}
