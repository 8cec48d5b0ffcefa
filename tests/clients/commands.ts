import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { library, type Step, shortened, splitSettings, type Took } from './library.ts'
import { absent, runProgram, withFolder } from './running.ts'

/** All steps in one run of curl, as `--next` has it. */
export const curl = library(
  'curl',
  absent('curl', ['--version'], 'curl'),
  (steps, given) =>
    withFolder(async (folder) => {
      const { env, args } = splitSettings(given.settings)
      const command = steps.flatMap(({ name, url, key, file }) => [
        ...['--next', '-sSL', ...args, '-H', `Authorization: ${given.authorization}`],
        ...(key === undefined ? [] : ['-H', `Locum-Authorization: Bearer ${key}`]),
        ...(file === undefined ? [] : ['-F', `file=@${file}`]),
        ...['-D', join(folder, `${name}.head`), '-o', join(folder, name), '--create-dirs'],
        ...['-w', '%{http_code} %{errormsg}\\n', url],
      ])
      const { out } = await runProgram('curl', ['-q', ...command.slice(1)], { env })
      const said = out.split('\n')
      const read = (name: string) => readFileSync(join(folder, name), 'latin1')
      return new Map<string, Took>(
        steps.map(({ name }, i) => {
          const [line = ''] = said.slice(i)
          const status = Number(line.slice(0, 3))
          if (status === 0) return [name, { error: line.slice(4) }]
          const echo = /^x-echo: (.*)\r$/im.exec(read(`${name}.head`))?.[1] ?? ''
          return [name, { status, echo, body: shortened(read(name)) }]
        }),
      )
    }),
  // Only `-v` and `-i` show what the proxy said.
  {
    onRefusedTunnel: /CONNECT tunnel failed, response 407/,
    onUndeclaredTunnel: /CONNECT tunnel failed, response 403/,
  },
)

/** One run of wget for as many steps as share its arguments. */
export const wget = library(
  'wget',
  absent('wget', ['--version'], 'wget'),
  (steps, given) =>
    withFolder(async (root) => {
      const { env, args } = splitSettings(given.settings)
      const took = new Map<string, Took>()
      const groups = Map.groupBy(steps, ({ url, key, file }) => [new URL(url).protocol, key, file].join())
      for (const group of groups.values()) {
        const folder = join(root, String(took.size))
        mkdirSync(folder)
        const { key, file } = group[0] as Step
        const { errors } = await runProgram(
          'wget',
          [
            ...[
              '--no-config',
              '-nv',
              '--save-headers',
              '--content-on-error',
              '-t',
              '1',
              '-P',
              folder,
              ...args,
            ],
            ...['--header', `Authorization: ${given.authorization}`],
            ...(key === undefined ? [] : ['--header', `Locum-Authorization: Bearer ${key}`]),
            ...(file === undefined ? [] : ['--post-file', file]),
            ...group.map(({ url }) => url),
          ],
          { env },
        )
        const files = readdirSync(folder)
        for (const { name, url } of group) {
          // It names a file after the last step of the path, and what follows.
          const last = new URL(url).pathname.split('/').at(-1) as string
          const saved = files.find((each) => each === last || each.startsWith(`${last}?`))
          took.set(name, saved === undefined ? { error: errors } : readSaved(join(folder, saved)))
        }
      }
      return took
    }),
  { onRefusedAtGateway: /Authentication Failed/ },
)

function readSaved(file: string): Took {
  const text = readFileSync(file, 'latin1')
  const end = text.indexOf('\r\n\r\n')
  const echo = /^x-echo: (.*)\r$/im.exec(text.slice(0, end))?.[1] ?? ''
  return { status: Number(text.split(' ')[1]), echo, body: shortened(text.slice(end + 4)) }
}
