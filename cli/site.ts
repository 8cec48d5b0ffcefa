import { Command } from 'commander'
import { showCa } from '../operations/ca.ts'
import { showSite } from '../operations/site.ts'
import { caFacts } from './ca.ts'
import { facts, json, timeText } from './output.ts'
import { type GlobalOptions, withSession } from './session.ts'
import type { Terminal } from './terminal.ts'

/** `locum site …` */
export function siteCommand(terminal: Terminal): Command {
  const command = new Command('site')
  command
    .command('show')
    .description('Show its id, address, contact and CA')
    .action(async (_: unknown, self: Command) => {
      const options = self.optsWithGlobals() as GlobalOptions
      await withSession(terminal, options, async ({ clock, run }) => {
        const one = await run(showSite, {})
        const ca = await run(showCa, {})
        if (options.json) return terminal.write(json({ ...one, ca }))
        const now = clock.now()
        terminal.write(
          facts([
            ['id', one.id],
            ['url', one.url],
            ['contact', one.contact],
            [options.server === undefined ? 'data' : 'server', options.server ?? options.data],
            ['made', timeText(terminal, one.createdAt, now)],
            ...ca.flatMap((each) => caFacts(terminal, each, now)),
          ]),
        )
      })
    })
  return command
}
