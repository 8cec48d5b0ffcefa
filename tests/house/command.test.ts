import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { ROOT } from './sources.ts'

const PROGRAM = `
const [, main, ...args] = process.argv
// What is told to wait listens before it speaks: its first word is the sign to send it a signal.
if (args[0] === 'wait') {
  process.on('SIGTERM', () => process.exit(7))
  setInterval(() => {}, 1000)
}
process.stdout.write(JSON.stringify({ main, args, flags: process.execArgv, node: process.env.CHOSEN ?? 'the real one', pid: process.pid }))
if (args[0] === 'fail') process.exit(3)
`

function write(path: string, text: string, mode = 0o644): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

/** A stand-in on PATH that says it is another version, and is this Node. */
function fakeNode(folder: string, version: string): string {
  const script = `#!/bin/sh
[ "$1" = --version ] && { echo ${version}; exit 0; }
CHOSEN=${version} exec '${process.execPath}' "$@"
`
  write(join(folder, 'node'), script, 0o755)
  return folder
}

/** A checkout in a folder whose name needs quoting, with a program that only says how it was called. */
function checkout(folder: string): string {
  const root = join(folder, "it's here")
  write(join(root, 'package.json'), '{"type":"module"}')
  write(join(root, 'cli/main.ts'), PROGRAM)
  write(join(root, 'dist/cli/main.js'), PROGRAM)
  mkdirSync(join(root, 'bin'))
  cpSync(join(ROOT, 'bin/locum'), join(root, 'bin/locum'))
  return root
}

const SYSTEM_PATH = '/usr/bin:/bin'

function run(command: string, args: readonly string[], folders: readonly string[], cwd?: string) {
  // Debian's own Node lies in /usr/bin: what is asked for stands before it.
  const env = { PATH: [...folders, SYSTEM_PATH].join(':') }
  const { status, stdout, stderr } = spawnSync(command, args, { env, cwd, encoding: 'utf8' })
  return { status, stderr, said: stdout === '' ? undefined : JSON.parse(stdout) }
}

/** The tools that the script itself calls, and no Node. */
function toolsOnly(folder: string): string {
  mkdirSync(folder)
  for (const tool of ['dirname', 'readlink', 'sh']) {
    symlinkSync(
      spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim(),
      join(folder, tool),
    )
  }
  return folder
}

t.test('passes its arguments and the exit code on as they are', async (t) => {
  const root = checkout(t.testdir())
  const path = [fakeNode(join(t.testdirName, 'bin'), 'v24.1.0')]
  const args = ['a b', '*', '', '--x=$HOME', "'"]
  t.match(run(join(root, 'bin/locum'), args, path), { status: 0, stderr: '', said: { args } })
  t.equal(run(join(root, 'bin/locum'), ['fail'], path).status, 3)
})

t.test('becomes the program, so that a signal reaches it', async (t) => {
  const root = checkout(t.testdir())
  const path = fakeNode(join(t.testdirName, 'bin'), 'v24.1.0')
  const child = spawn(join(root, 'bin/locum'), ['wait'], { env: { PATH: `${path}:${SYSTEM_PATH}` } })
  const [said] = await once(child.stdout, 'data')
  t.equal(JSON.parse(String(said)).pid, child.pid)
  child.kill('SIGTERM')
  t.same(await once(child, 'exit'), [7, null])
})

t.test('starts Node with the flag that makes a request cheaper', async (t) => {
  const root = checkout(t.testdir())
  const path = [fakeNode(join(t.testdirName, 'bin'), 'v24.1.0')]
  const flags = ['--no-allocation-site-pretenuring']
  t.match(run(join(root, 'bin/locum'), [], path), { said: { flags } })
  fakeNode(join(root, 'node_modules/node/bin'), 'v24.21.0')
  t.match(run(join(root, 'bin/locum'), [], path), { said: { flags } }, 'and that of its checkout')
})

t.test('finds its checkout through links, relative ones too', async (t) => {
  const folder = t.testdir()
  const root = checkout(folder)
  const path = [fakeNode(join(folder, 'bin'), 'v24.1.0')]
  mkdirSync(join(folder, 'links'))
  symlinkSync("../it's here/bin/locum", join(folder, 'links/locum'))
  symlinkSync(join(folder, 'links/locum'), join(folder, 'again'))
  const main = join(root, 'cli/main.ts')
  t.match(run(join(folder, 'again'), [], path), { said: { main } })
  t.match(run('sh', ['locum'], path, join(root, 'bin')), { said: { main } })
  t.match(run('./links/locum', [], path, folder), { said: { main } })
})

t.test('takes the Node of its checkout before any other', async (t) => {
  const root = checkout(t.testdir())
  const path = [fakeNode(join(t.testdirName, 'bin'), 'v26.0.0')]
  fakeNode(join(root, 'node_modules/node/bin'), 'v24.21.0')
  t.match(run(join(root, 'bin/locum'), [], path), { said: { node: 'v24.21.0' } })
})

t.test('takes the first on PATH that is new enough', async (t) => {
  const root = checkout(t.testdir())
  const folder = (version: string) => fakeNode(join(t.testdirName, version), version)
  fakeNode(join(root, 'node_modules/node/bin'), 'v22.18.0')
  const old = ['v8.17.0', 'v20.20.2', 'v22.18.9', 'v23.5.0', 'nonsense'].map(folder)
  for (const version of ['v22.19.0', 'v23.6.0', 'v24.0.0', 'v26.10.0', 'v100.0.0']) {
    t.match(run(join(root, 'bin/locum'), [], [...old, folder(version)]), { said: { node: version } }, version)
  }
})

t.test('says in one line what is missing, and exits with 1', async (t) => {
  const root = checkout(t.testdir())
  const tools = toolsOnly(join(t.testdirName, 'tools'))
  const start = (path: string) =>
    spawnSync(join(root, 'bin/locum'), [], { env: { PATH: path }, encoding: 'utf8' })
  const old = start(`${fakeNode(join(t.testdirName, 'old'), 'v20.20.2')}:${tools}`)
  t.match(old, {
    status: 1,
    stdout: '',
    stderr: /^locum: needs Node 22\.19 or newer, and found v20\.20\.2\. .*npm ci.*\n$/,
  })
  t.match(start(tools), { status: 1, stderr: /^locum: .* found none\. [^\n]*\n$/ })
})

t.test('runs what was compiled where it is installed as a package', async (t) => {
  const folder = t.testdir()
  const root = checkout(join(folder, 'node_modules'))
  const path = [fakeNode(join(folder, 'bin'), 'v24.1.0')]
  t.match(run(join(root, 'bin/locum'), [], path), { said: { main: join(root, 'dist/cli/main.js') } })
  const none = spawnSync(join(root, 'bin/locum'), {
    env: { PATH: toolsOnly(join(folder, 'tools')) },
    encoding: 'utf8',
  })
  t.match(none, { status: 1, stderr: /^locum: [^\n]*\n$/ })
  t.notMatch(none.stderr, /npm ci/, 'there is no checkout to repair')
})
