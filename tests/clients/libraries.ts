import { join } from 'node:path'
import { curl, wget } from './commands.ts'
import { type Library, library, splitSettings, type Took, type Traits } from './library.ts'
import { absent, NODE_MISSING, PROGRAMS, PYTHON, runProgram, scratchFolder } from './running.ts'

/** A program of our own around a library, which reads its steps from stdin; `command` gets what is an argument. */
function programOf(
  id: Library['id'],
  missing: string | undefined,
  command: (args: readonly string[]) => Promise<readonly string[]>,
  traits?: Partial<Traits>,
): Library {
  return library(
    id,
    missing,
    async (steps, given) => {
      const { env, args } = splitSettings(given.settings)
      const [file, ...rest] = await command(args)
      const input = steps.map((s) => `${[s.name, s.url, s.key ?? '', s.file ?? ''].join('\t')}\n`).join('')
      const { code, out, errors } = await runProgram(file as string, rest, {
        env: { ...env, AUTHORIZATION: given.authorization, LOCUM_ID: given.id, LOCUM_KEY: given.key },
        input,
      })
      if (code !== 0) throw new Error(`${id} ended with ${code}: ${errors}${out}`)
      const lines = out.split('\n').filter((line) => line !== '')
      return new Map(
        lines.map((line) => {
          const { name, ...took } = JSON.parse(line) as { name: string } & Took
          return [name, took]
        }),
      )
    },
    traits,
  )
}

function node(id: Library['id'], traits?: Partial<Traits>): Library {
  return programOf(id, NODE_MISSING, async () => [process.execPath, join(PROGRAMS, `${id}.mjs`)], traits)
}

function python(id: Library['id'], traits?: Partial<Traits>): Library {
  const missing = absent(PYTHON, ['-c', `import ${id}`], id === 'urllib' ? 'python3' : `python3-${id}`)
  return programOf(id, missing, async () => [PYTHON, '-B', join(PROGRAMS, `${id}_client.py`)], traits)
}

/** Does `work` once, at the first call. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let done: Promise<T> | undefined
  return () => {
    done ??= work()
    return done
  }
}

async function compile(command: string, args: readonly string[], env: Record<string, string>): Promise<void> {
  const { code, errors } = await runProgram(command, args, { env })
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${errors}`)
}

const goProgram = once(async () => {
  const folder = scratchFolder()
  const program = join(folder, 'client')
  const env = { GOCACHE: join(folder, 'cache'), GO111MODULE: 'off' }
  await compile('go', ['build', '-o', program, join(PROGRAMS, 'client.go')], env)
  return program
})

const javaClasses = once(async () => {
  const folder = scratchFolder()
  await compile('javac', ['-d', folder, join(PROGRAMS, 'Client.java')], {})
  return folder
})

/** All that undici says of a tunnel that was refused. */
const UNDICI_407 = /Proxy response \(407\) !== 200/
const UNDICI_403 = /Proxy response \(403\) !== 200/

/** Every client that takes any request; one vendor's are in sdks.ts. */
export const LIBRARIES: readonly Library[] = [
  curl,
  wget,
  python('urllib', { keepsAlive: { forward: false, connect: false, gateway: false } }),
  python('requests'),
  python('httpx'),
  python('aiohttp', { keepsAlive: { forward: false, connect: true, gateway: true } }),
  node('fetch', {
    plain: 'tunnel',
    onRefused: UNDICI_407,
    onRefusedTunnel: UNDICI_407,
    onUndeclared: UNDICI_403,
    onUndeclaredTunnel: UNDICI_403,
  }),
  node('http', { follows: false }),
  node('undici', {
    onRefused: /Proxy Authentication Required \(407\)/,
    onRefusedTunnel: UNDICI_407,
    onUndeclaredTunnel: UNDICI_403,
  }),
  node('axios', { keepsAlive: { forward: true, connect: false, gateway: true } }),
  node('got'),
  programOf('go', absent('go', ['version'], 'golang-go'), async () => [await goProgram()]),
  programOf(
    'java',
    absent('javac', ['-version'], 'default-jdk-headless'),
    async (args) => [
      ...['java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto', ...args],
      ...['-cp', await javaClasses(), 'Client'],
    ],
    { onRefusedTunnel: /^407 $/, onUndeclaredTunnel: /Tunnel failed, got: 403/ },
  ),
]
