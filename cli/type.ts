import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Command } from 'commander'
import { LocumError } from '../core/errors.ts'
import { importType, listTypes, removeType, showType, type TypeView } from '../operations/types.ts'
import { facts, json, table } from './output.ts'
import { type GlobalOptions, withSession } from './session.ts'
import type { Terminal } from './terminal.ts'

/** What OpenFn's adaptors call theirs, each in a folder of the adaptor's name. */
const OPENFN = 'configuration-schema.json'

/** `locum type …` */
export function typeCommand(terminal: Terminal): Command {
  const type = new Command('type')

  type
    .command('ls')
    .description('List credential types')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      const all = await withSession(terminal, options, ({ run }) => run(listTypes, {}))
      if (options.json) return terminal.write(json(all))
      const rows = all.map(({ name, fields, oauth, connections }) => [
        name,
        fields.map((field) => field.name).join(' '),
        oauth ? 'by consent' : 'entered',
        connections.join(' ') || '-',
      ])
      terminal.write(table(terminal, ['name', 'fields', 'how', 'connections'], rows))
      if (rows.length === 0) terminal.note('None yet. locum type import FILE|FOLDER')
    })

  type
    .command('show')
    .description('Show the fields of one, or with --json its schema too')
    .argument('<name>')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      const one = await withSession(terminal, options, ({ run }) => run(showType, { name }))
      terminal.write(options.json ? json(one) : describe(one))
    })

  type
    .command('import')
    .description('Bring in a JSON Schema (draft-07), or all of a folder')
    .argument('<path>')
    .option(
      '--name <name>',
      'what it is called; unless told as its file, or the folder of a configuration-schema.json',
    )
    .addHelpText(
      'after',
      `
Of a folder it takes each NAME.json, and each configuration-schema.json further down:

  $ locum type import crm.json
  $ locum type import adaptors/packages`,
    )
    .action(async (path: string, _: unknown, command: Command) => {
      const { name, ...options } = command.optsWithGlobals() as GlobalOptions & { name?: string }
      const files = await filesAt(path)
      if (name !== undefined && files.length !== 1)
        throw new LocumError('bad_request', 'Several files cannot have one name.')
      const found = await Promise.all(
        files.map(async (file) => ({ file, name: name ?? nameOf(file), schema: await readSchema(file) })),
      )
      checkNames(found)
      await withSession(terminal, options, async ({ run }) => {
        const done = []
        for (const { file, name: called, schema } of found) {
          const { type: made, changed } = await run(importType, { name: called, schema }).catch((thrown) => {
            throw thrown instanceof LocumError
              ? new LocumError(thrown.code, `${file}: ${thrown.detail}`, { hint: thrown.hint })
              : thrown
          })
          done.push({ name: made.name, version: made.version, changed })
        }
        if (options.json) return terminal.write(json(done))
        const fresh = done.filter(({ changed }) => changed)
        for (const one of fresh) terminal.write(`${one.name} (version ${one.version})\n`)
        terminal.note(`${fresh.length} of ${done.length} changed.`)
      })
    })

  type
    .command('rm')
    .description('Remove one that no connection uses')
    .argument('<name>')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      await withSession(terminal, options, ({ run }) => run(removeType, { name }))
    })
  return type
}

function describe({ name, version, oauth, fields, connections }: TypeView): string {
  return facts([
    ['name', name],
    ['version', String(version)],
    ['how', oauth ? 'by consent at a provider' : 'entered'],
    ...fields.map((field) => {
      const says = [
        field.title,
        field.kinds.join(' or '),
        field.secret ? 'secret' : 'shown to its owner',
        field.required ? 'needed' : 'if any',
        ...(field.choices ? [`one of ${field.choices.map(String).join(', ')}`] : []),
      ]
      return [field.name, says.join('; ')] as const
    }),
    ['connections', connections.join(', ')],
  ])
}

/** A file, or those of a folder. Throws bad_request where there is none. */
async function filesAt(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile()) return [path]
  const names = found?.isDirectory() ? await readdir(path, { recursive: true }) : []
  const files = names
    .filter((name) => basename(name) === OPENFN || (dirname(name) === '.' && name.endsWith('.json')))
    .filter((name) => !name.split('/').includes('node_modules'))
    .sort()
    .map((name) => join(path, name))
  if (files.length > 0) return files
  throw new LocumError('bad_request', `There is no schema at ${path}.`, {
    hint: 'A JSON file, or a folder with some.',
  })
}

/** `crm.json` → crm; `packages/dhis2/configuration-schema.json` → dhis2. */
function nameOf(file: string): string {
  const called = basename(file) === OPENFN ? basename(dirname(file)) : basename(file, '.json')
  return called.toLowerCase().replaceAll(/[^a-z0-9-]+/g, '-')
}

/** One would be the next version of the other, and the other of it whenever they are brought in again. */
function checkNames(found: readonly { readonly file: string; readonly name: string }[]): void {
  const files = new Map<string, string>()
  for (const { file, name } of found) {
    const other = files.get(name)
    if (other !== undefined) {
      throw new LocumError('bad_request', `${other} and ${file} would both be called \`${name}\`.`, {
        hint: `Bring them in one by one: locum type import ${file} --name NAME`,
      })
    }
    files.set(name, file)
  }
}

async function readSchema(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8')
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw new LocumError('bad_request', `${file} is no JSON: ${(thrown as Error).message}`)
  }
}
