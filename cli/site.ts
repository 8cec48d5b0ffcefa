import { Command } from 'commander'
import { showSite } from '../operations/site.ts'
import { caFacts } from './ca.ts'
import { facts, json, timeText } from './output.ts'
import { type GlobalOptions, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

/** `locum site …` */
export function siteCommand(terminal: Terminal): Command {
  const command = new Command('site')
  command
    .command('show')
    .description('Show its id, address, contact and CA')
    .action(async (_: unknown, self: Command) => {
      const options = self.optsWithGlobals() as GlobalOptions
      await withSite(terminal, options, async ({ site, run }) => {
        const one = await run(showSite, {})
        const ca = await site.ca.describe(site.store)
        if (options.json) return terminal.write(json({ ...one, ca }))
        const now = site.clock.now()
        terminal.write(
          facts([
            ['id', one.id],
            ['url', one.url],
            ['contact', one.contact],
            ['data', site.data],
            ['made', timeText(terminal, one.createdAt, now)],
            ...ca.flatMap((each) => caFacts(terminal, each, now)),
          ]),
        )
      })
    })
  return command
}
