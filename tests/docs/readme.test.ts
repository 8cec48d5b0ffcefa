import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '../..')
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')
/** What the README says first and last is what runs this test. */
const NOT_HERE = /^npm (?:ci|run demo|test)$/

function blocks(language: string): string[] {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(
    (match) => match[1] as string,
  )
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))))
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Runs a text as one shell; what is left running ends with it. */
function runShell(script: string, cwd: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH, HOME: cwd }
    const shell = spawn('sh', ['-c', script], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (text) => (output += text))
    shell.once('exit', () => process.kill(-(shell.pid as number), 'SIGTERM'))
    shell.once('close', (code) => resolve({ code, output }))
  })
}

t.test('the file in the README is the example', (t) => {
  const [shown] = blocks('yaml') as [string]
  const kept = readFileSync(join(ROOT, 'examples/billing.yaml'), 'utf8')
  t.ok(kept.endsWith(shown), 'examples/billing.yaml ends with the block in the README')
  t.end()
})

t.test('every command of the README runs', { timeout: 110_000 }, async (t) => {
  const cwd = t.testdir()
  const [proxy, console] = (await freePorts(2)) as [number, number]
  const here = (text: string) =>
    text
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${proxy}`)
      .replaceAll('127.0.0.1:8081', `127.0.0.1:${console}`)
  mkdirSync(join(cwd, 'bin'))
  symlinkSync(join(ROOT, 'bin/locum'), join(cwd, 'bin/locum'))
  cpSync(join(ROOT, 'examples'), join(cwd, 'examples'), { recursive: true })
  writeFileSync(
    join(cwd, 'examples/billing.yaml'),
    here(readFileSync(join(cwd, 'examples/billing.yaml'), 'utf8')),
  )
  const page = `const key = (await import('node:fs')).readFileSync('ada.key', 'utf8').trim()\n${here(blocks('js').join('\n'))}\nconsole.log('page', answer.status, answer.headers.get('proxy-status'))\n`
  writeFileSync(join(cwd, 'page.mjs'), page)
  const ready = `until curl --noproxy '*' -sf http://127.0.0.1:${console}/readyz >/dev/null; do sleep 0.1; done`
  const lines = here(blocks('sh').join('\n'))
    .split('\n')
    .filter((line) => !NOT_HERE.test(line))
    .map((line) => (line.endsWith('&') ? `${line}\n${ready}` : line))
  const { code, output } = await runShell(
    `set -e\n${lines.join('\n')}\nunset HTTPS_PROXY\n'${process.execPath}' page.mjs\n`,
    cwd,
  )
  t.equal(code, 0, output)
  const codes = [...output.matchAll(/"code":"(\w+)"/g)].map((match) => match[1])
  // Without a network each request ends where the upstream cannot be reached, and nowhere before.
  t.same(
    codes.filter((each) => !/^upstream_(?:unreachable|timeout)$/.test(each as string)),
    [],
    output,
  )
  t.match(output, /It would be sent/)
  t.match(output, /The audit is whole/)
  t.match(output, /page 502 locum; error=destination_unavailable/)
  for (const secret of [
    'sk_live_not_a_real_key',
    'password-of-ada',
    'password-of-sales',
    'password-of-all',
  ]) {
    t.notMatch(output, secret)
  }
})
