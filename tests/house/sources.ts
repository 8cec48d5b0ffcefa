import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'

export const ROOT: string = join(import.meta.dirname, '../..')

const NOT_OURS = new Set(['node_modules', '.git', '.tap', '.cache', 'dist', 'locum-data'])

/** Every file of the project, its path relative to the root, sorted. */
export function projectFiles(folder: string = ROOT): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !NOT_OURS.has(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      return entry.isDirectory() ? projectFiles(path) : entry.isFile() ? [relative(ROOT, path)] : []
    })
    .sort()
}

/** One import or re-export. */
export interface Import {
  /** A path from the root, a package's name with its sub-path, or `node:…`. */
  readonly target: string
  readonly ours: boolean
  /** The names that are taken; undefined where all may be (`* as`, `import()`). */
  readonly names: readonly string[] | undefined
  /** Gone once the types are stripped. */
  readonly typeOnly: boolean
}

export interface Source {
  readonly path: string
  /** Path of the room: the first folder, `proxy/wire` for the wire, the file itself at the root. */
  readonly room: string
  readonly lines: number
  readonly imports: readonly Import[]
  /** What it exports by name. */
  readonly exports: readonly string[]
  /** Those of them that the module names nowhere but where it exports them. */
  readonly unusedWithin: readonly string[]
}

const STATIC = /^(?:import|export)\s+(type\s+)?(?:([\w*{][^'";]*?)\s+from\s+)?'([^']+)'/gm
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g
const EXPORT =
  /^export\s+(?:declare\s+)?(?:async\s+)?(?:function\*?|const|let|(?:abstract\s+)?class|interface|type)\s+(\w+)/gm
const EXPORT_LIST = /^export\s+(?:type\s+)?\{([^}]*)\}/gm

/** What can be read from a module's text by its imports and exports; biome keeps them in this form. */
export function readSource(path: string, text: string): Source {
  const imports: Import[] = []
  const add = (specifier: string, names: readonly string[] | undefined, typeOnly: boolean) => {
    const ours = specifier.startsWith('.')
    const target = ours ? posix.join(dirname(path), specifier) : specifier
    imports.push({ target, ours, names, typeOnly })
  }
  for (const [, type, clause, specifier] of text.matchAll(STATIC)) {
    add(specifier as string, namesOf(clause), type !== undefined)
  }
  for (const [, specifier] of text.matchAll(DYNAMIC)) add(specifier as string, undefined, false)
  const exports = [...text.matchAll(EXPORT)].map((match) => match[1] as string)
  for (const [, list] of text.matchAll(EXPORT_LIST)) {
    exports.push(...parts(list as string).map((part) => part.split(/\s+as\s+/).at(-1) as string))
  }
  const unusedWithin = exports.filter((name) => text.split(new RegExp(`\\b${name}\\b`)).length === 2)
  return { path, room: roomOf(path), lines: text.split('\n').length - 1, imports, exports, unusedWithin }
}

/** `{ a, type B as C }` → `a`, `B`; of `import x, { … }` also `default`. */
function namesOf(clause: string | undefined): readonly string[] | undefined {
  if (clause === undefined) return []
  if (clause.includes('*')) return undefined
  const list = /\{([^}]*)\}/.exec(clause)
  const named = parts(list?.[1] ?? '').map((part) => part.split(/\s+as\s+/)[0] as string)
  return /^\w/.test(clause) ? ['default', ...named] : named
}

function parts(list: string): string[] {
  return list
    .split(',')
    .map((part) => part.trim().replace(/^type\s+/, ''))
    .filter((part) => part !== '')
}

function roomOf(path: string): string {
  if (path.startsWith('proxy/wire/')) return 'proxy/wire'
  return path.split('/')[0] as string
}

/** Every module of the project. */
export function readSources(): Source[] {
  return projectFiles()
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readSource(path, readFileSync(join(ROOT, path), 'utf8')))
}
