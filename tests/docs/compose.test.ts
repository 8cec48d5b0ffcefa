import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { methods } from '../../auth-methods/index.ts'
import { readConfigFile } from '../../operations/file.ts'

const ROOT = join(import.meta.dirname, '../..')
const FOLDER = join(ROOT, 'examples/compose')

t.test('the containers of the example share the folder in which the image lets sockets be', async (t) => {
  const { services, volumes } = parse(readFileSync(join(FOLDER, 'compose.yaml'), 'utf8'))
  const { locum, billing } = services
  const [, , file] = locum.command
  t.ok(locum.volumes.includes(`./locum.yaml:${file}:ro`))
  const { listen, identity } = await readConfigFile(join(FOLDER, 'locum.yaml'), {
    methods,
    env: { STRIPE_KEY: 'sk_live_not_a_real_key' },
    readFile: (path) => readFile(path, 'utf8'),
  })
  const socket = listen.proxy?.address.slice('unix:'.length) as string
  t.ok(locum.volumes.includes(`sockets:${dirname(socket)}`))
  t.ok(billing.volumes.includes(`sockets:${dirname(socket)}:ro`))
  t.strictSame(billing.command.slice(0, 2), ['--unix-socket', socket])
  t.strictSame(Object.keys(volumes), ['data', 'sockets'])
  t.equal(identity.default, 'billing')

  const image = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
  t.match(image, `-m 2770 ${dirname(socket)}\n`, 'it passes its group on, and is for nobody else')
  t.match(image, `USER ${billing.user}\n`)
  t.match(image, `LOCUM_HEALTHZ=http://${listen.console?.address}/healthz\n`)
})

t.test(
  'the listeners of the documentation are read as they stand, and paths alone are missing',
  async (t) => {
    const text = readFileSync(join(ROOT, 'docs/LISTENERS.md'), 'utf8')
    const [listen, principals] = [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map((match) => match[1])
    const file = join(t.testdir({ 'locum.yaml': `${listen}${principals}` }), 'locum.yaml')
    const error = await readConfigFile(file, {
      methods,
      env: {},
      readFile: (path) => readFile(path, 'utf8'),
    }).then(
      () => undefined,
      (thrown: Error) => thrown,
    )
    const lines = String(error?.message).split('\n')
    t.equal(lines.length, 4)
    for (const line of lines)
      t.match(line, /cannot read (?:locum|clients|billing)\.(?:pem|key): there is no such file$/)
  },
)
