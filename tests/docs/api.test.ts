import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { ROUTES } from '../../api/routes.ts'
import { startLab } from '../admin/lab.ts'
import { openShell } from '../cli/kit.ts'
import { absent } from '../clients/running.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/API.md'), 'utf8')
const block = (kind: string) => new RegExp(`\`\`\`${kind}\\n(.*?)\`\`\``, 's').exec(PAGE)?.[1] as string
const skip = absent('curl', ['--version'], 'curl')

t.test('the commands of the page do with curl what it says', { skip }, async (t) => {
  const { site, ask } = await startLab(t)
  // The page adds somebody who is there already.
  const text = block('sh').replaceAll('ada', 'zoe')
  const env = { PATH: process.env.PATH, LOCUM: site.consoleUrl, LOCUM_KEY: site.keys.admin }
  const { stdout } = await promisify(execFile)('sh', ['-ec', text], { env })
  const said = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
  const [me, list, first, again, disabled, late] = said
  t.match(me, { id: 'admin', admin: true })
  t.match(list, { items: { length: 2 }, next: /^\/api\/v1\/principals\?/ })
  t.match(first, { id: 'zoe', key: /^lcm_/ })
  t.same(again, first)
  t.match(disabled, { id: 'zoe', disabled: true, version: 2 })
  t.match(late, { status: 412, code: 'outdated' })
  t.match(stdout, /it has changed meanwhile/)
  t.equal((await ask('GET', '/principals/zoe')).json.disabled, true)
})

t.test('the verbs of the page run at a server', async (t) => {
  const { site } = await startLab(t)
  const { run, env, data } = openShell(t)
  env.LOCUM_KEY = site.keys.admin as string
  const lines = [...block('console').matchAll(/^\$ locum (--server .*)$/gm)].map(([, line]) => line as string)
  t.equal(lines.length, 3)
  writeFileSync(join(data, '../billing.yaml'), 'name: billing\n')
  for (const line of lines) {
    const here = line
      .replace('$LOCUM', site.consoleUrl)
      .replace('billing.yaml', join(data, '../billing.yaml'))
    t.match(await run(here), { code: 0 }, line)
  }
})

t.test('the document that is published has every route', async (t) => {
  const { paths } = JSON.parse(readFileSync(join(import.meta.dirname, '../../docs/openapi.json'), 'utf8'))
  for (const { path, method } of ROUTES) t.ok(paths[path][method.toLowerCase()], path)
})
