import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '../..')
const text = readFileSync(join(ROOT, 'docs/SECURITY.md'), 'utf8')
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}

t.test('each promise has a command that is there', async (t) => {
  const promises = text.split('\n').filter((line) => /^\| \d+ \|/.test(line))
  t.ok(promises.length > 10)
  for (const promise of promises) {
    const commands = [...promise.matchAll(/`npm (test|run (\S+))(?: -- ([^`]*))?`/g)]
    t.ok(commands.length > 0, promise)
    for (const [command, verb, name, args = ''] of commands) {
      t.ok(verb === 'test' ? scripts.test : scripts[name as string], command as string)
      for (const file of args.split(' ').filter((arg) => arg.startsWith('tests/')))
        t.ok(existsSync(join(ROOT, file)), file)
    }
  }
})

t.test('every document that it points to is there', async (t) => {
  for (const [, file] of text.matchAll(/\]\(([\w/.-]+\.md)\)/g))
    t.ok(existsSync(join(ROOT, 'docs', file as string)), file as string)
})
