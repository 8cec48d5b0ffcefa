import type { Import, Source } from './sources.ts'

/** Who may import whom: docs/ARCHITECTURE.md says why. A room always sees itself. */
const MAY_SEE: Readonly<Record<string, readonly string[] | 'all'>> = {
  core: ['formulas'],
  formulas: [],
  broker: ['core'],
  'auth-methods': ['core'],
  store: ['core'],
  certs: ['core'],
  identity: ['core'],
  operations: ['core'],
  listeners: ['core'],
  proxy: ['core', 'certs', 'listeners', 'proxy/wire'],
  'proxy/wire': [],
  api: ['core', 'operations'],
  admin: ['core', 'listeners', 'operations', 'api'],
  cli: ['core', 'operations', 'api', 'main.ts', 'site.ts', 'version.ts'],
  console: [],
  'version.ts': [],
  // What is put together: a site's data folder, and a running program.
  'site.ts': 'all',
  'main.ts': 'all',
  bench: 'all',
  docs: 'all',
  examples: 'all',
  tests: 'all',
}

/** The rooms that a user never runs: nothing else may lean on them. */
const OUTSIDE = ['tests', 'bench', 'docs', 'examples']

/** What a pure core may take from Node, and of what does I/O the one name that does none. */
const PURE: Readonly<Record<string, readonly string[] | 'all'>> = {
  'node:crypto': 'all',
  'node:buffer': 'all',
  'node:url': 'all',
  'node:util': 'all',
  'node:net': ['isIP'],
}

/** Lines; tests aside. */
const LONGEST = 400

const NO_FOLDER = /(?:^|\/)(?:utils?|common|helpers?|lib|src|misc)\//

/** What breaks the house's rules, one text for each breach. */
export function breaches(sources: readonly Source[]): string[] {
  return [
    ...sources.flatMap((source) => source.imports.flatMap((one) => wrongImport(source, one))),
    ...sources
      .filter((s) => !OUTSIDE.includes(s.room) && s.lines > LONGEST)
      .map((s) => `${s.path}: ${s.lines} lines, ${LONGEST} at most`),
    ...sources
      .filter((s) => NO_FOLDER.test(s.path))
      .map((s) => `${s.path}: a folder that is named after nothing`),
    ...cycles(sources).map((path) => `a cycle: ${path.join(' → ')}`),
  ]
}

function wrongImport(source: Source, { target, ours, names }: Import): string[] {
  const { path, room } = source
  const says = (why: string) => [`${path} imports ${target}: ${why}`]
  if (MAY_SEE[room] === undefined) return [`${path}: the room ${room} has no rule yet`]
  if (!ours) {
    if (room !== 'core') return []
    const pure = PURE[target]
    if (pure === undefined) return says('core is pure')
    if (pure !== 'all' && !(names ?? ['*']).every((name) => pure.includes(name)))
      return says(`core may take ${pure} alone`)
    return []
  }
  if (!target.endsWith('.ts')) return target.endsWith('.json') ? [] : says('no module')
  const other = target.startsWith('proxy/wire/') ? 'proxy/wire' : (target.split('/')[0] as string)
  const seen = MAY_SEE[room]
  const seesMessages = /^proxy\/(?:exchange|request\/|answer\/)/.test(path)
  if (seesMessages && other === 'proxy/wire' && target !== 'proxy/wire/message.ts') {
    return says('an exchange sees messages, never bytes')
  }
  if (other === room || (room === 'proxy' && other === 'proxy/wire')) return []
  if (seen === 'all' && !(room.endsWith('.ts') && OUTSIDE.includes(other))) return []
  return seen !== 'all' && seen?.includes(other) ? [] : says(`${room} does not see ${other}`)
}

/** What is loaded of packages that are not among these, where a user runs it, as `path imports package`. */
export function strayImports(sources: readonly Source[], packages: readonly string[]): string[] {
  return sources
    .filter(({ room }) => !OUTSIDE.includes(room))
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ ours, typeOnly, target }) => !ours && !typeOnly && !target.startsWith('node:'))
        .filter(({ target }) => !packages.some((one) => target === one || target.startsWith(`${one}/`)))
        .map(({ target }) => `${path} imports ${target}`),
    )
}

/** Each cycle once, as the paths along it. A type that points back is none: nothing is loaded for it. */
function cycles(sources: readonly Source[]): string[][] {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const done = new Set<string>()
  const found: string[][] = []
  const visit = (path: string, trail: string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) found.push([...trail.slice(at), path])
    if (at >= 0 || done.has(path)) return
    for (const one of byPath.get(path)?.imports ?? []) {
      if (one.ours && !one.typeOnly) visit(one.target, [...trail, path])
    }
    done.add(path)
  }
  for (const { path } of sources) visit(path, [])
  return found
}

/**
 * Exports that nobody imports but tests and that their own module does not use either, as `path: name`.
 * Read by names: a module taken as a whole (`* as`, `import()`) counts as used whole, and a name in a
 * comment as a use.
 */
export function deadExports(sources: readonly Source[]): string[] {
  const used = new Set<string>()
  const whole = new Set<string>()
  for (const source of sources) {
    if (source.room === 'tests') continue
    for (const { target, ours, names } of source.imports) {
      if (ours && names === undefined) whole.add(target)
      for (const name of names ?? []) used.add(`${target}: ${name}`)
    }
  }
  return sources
    .filter(({ room, path }) => !OUTSIDE.includes(room) && !whole.has(path))
    .flatMap(({ path, unusedWithin }) => unusedWithin.map((name) => `${path}: ${name}`))
    .filter((name) => !used.has(name))
}
