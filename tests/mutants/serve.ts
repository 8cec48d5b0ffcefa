/** Preloaded into a test's process, and what it starts: serves one source with its mutant in place. */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'
import { apply, type Mutant } from './mutate.ts'

const asked = process.env.MUTANT
if (asked !== undefined) {
  const { file, ...mutant } = JSON.parse(asked) as Mutant & { file: string }
  const url = pathToFileURL(file).href
  registerHooks({
    load(at, context, next) {
      if (at !== url) return next(at, context)
      return {
        format: 'module-typescript',
        source: apply(readFileSync(file, 'utf8'), mutant),
        shortCircuit: true,
      }
    },
  })
}
