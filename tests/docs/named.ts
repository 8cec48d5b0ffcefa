import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

/** The tests that a document names, as `FILE`: TITLE. */
export function namedTests(text: string): (readonly [file: string, title: string])[] {
  return [...text.matchAll(/`(tests\/[\w/.-]+\.test\.ts)`: (.+?)(?= · | \|$)/gm)].map(
    ([, file, title]) => [file as string, title as string] as const,
  )
}

/** Those of them that are not there. */
export function missingTests(text: string): string[] {
  return namedTests(text).flatMap(([file, title]) => {
    const path = join(ROOT, file)
    const found = existsSync(path) && readFileSync(path, 'utf8').replaceAll("\\'", "'").includes(title)
    return found ? [] : [`${file}: ${title}`]
  })
}
