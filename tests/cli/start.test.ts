import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { VERBS } from '../../cli/verbs.ts'
import { openShell } from './kit.ts'

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))

/** Writes the packages that were loaded to standard error, one a line. */
const WATCH = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  const seen = new Set()
  registerHooks({
    load(url, context, next) {
      const name = /node_modules\\/((?:@[^/]+\\/)?[^/]+)\\/(?!.*node_modules)/.exec(url)?.[1]
      if (name) seen.add(name)
      return next(url, context)
    },
  })
  process.on('exit', () => process.stderr.write([...seen].join('\\n')))
`)}`

function packagesOf(args: readonly string[]): string[] {
  const { stderr, status } = spawnSync(process.execPath, ['--import', WATCH, MAIN, ...args], {
    encoding: 'utf8',
    env: {},
  })
  if (status !== 0) throw new Error(stderr)
  return stderr.split('\n').filter((name) => name !== '')
}

t.test('what a verb does not need is not loaded for it', async (t) => {
  t.same(packagesOf(['--help']), ['commander'])
  t.same(packagesOf(['ca', 'export', '--help']), ['commander'])
  const data = t.testdir()
  packagesOf(['--data', data, 'ca', 'export'])
  const second = packagesOf(['--data', data, 'ca', 'export'])
  t.ok(second.includes('kysely'), 'what was loaded is seen')
  for (const name of ['typebox', 'yaml', 'node-forge', '@peculiar/x509']) t.notOk(second.includes(name), name)
})

t.test('the verb is found wherever the options of the command stand', async (t) => {
  const { run, data } = openShell(t)
  for (const line of [
    'site show --json',
    '--json site show',
    `--data ${data} site show --json`,
    `--data=${data} --json site show`,
    `site --data ${data} show --json`,
    `site show --json --data ${data}`,
  ]) {
    t.match(await run(line), { code: 0, out: /^\{"id":/ }, line)
  }
  for (const { name } of VERBS) t.match(await run([name, '--help']), { code: 0, out: `Usage: locum ${name}` })
})
