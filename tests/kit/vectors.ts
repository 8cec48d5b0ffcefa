import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/**
 * A file of vectors that others published: its text, and options for the test that reads it, which say
 * why it is skipped where the file is not here.
 */
export function vectors(path: string): { options: { skip?: string }; read(): string } {
  const folder = process.env.LOCUM_VECTORS ?? resolve(import.meta.dirname, '../../../shared/vectors')
  const file = resolve(folder, path)
  const options = existsSync(file) ? {} : { skip: 'the published vectors are not here; set LOCUM_VECTORS' }
  return { options, read: () => readFileSync(file, 'utf8') }
}
