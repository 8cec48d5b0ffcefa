import type { Command } from 'commander'
import {
  acceptCredential,
  declineCredential,
  giveCredential,
  listOffers,
  type OfferView,
} from '../operations/hand-over.ts'
import { json, table, timeText } from './output.ts'
import { type GlobalOptions, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

type Answering = GlobalOptions & { readonly as: string }

/** `locum credential give`, `offers`, `accept` and `decline` */
export function addHandOver(credential: Command, terminal: Terminal): void {
  credential
    .command('give')
    .description(giveCredential.summary)
    .argument('<id>')
    .requiredOption('--to <user>', 'the new owner')
    .action(async (id: string, _: unknown, command: Command) => {
      const { to, ...options } = command.optsWithGlobals() as GlobalOptions & { to: string }
      const offer = await withSite(terminal, options, ({ run }) => run(giveCredential, { id, to }))
      if (options.json) return terminal.write(json(offer))
      terminal.write(`${id} is offered to ${to} until ${timeText(terminal, offer.until, Date.now())}.\n`)
      for (const line of explain(offer)) terminal.note(line)
      terminal.note(`Until then nothing changes. locum credential accept ${id} --as ${to}`)
    })

  credential
    .command('offers')
    .description(listOffers.summary)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as GlobalOptions
      await withSite(terminal, options, async ({ site, run }) => {
        const offers = await run(listOffers, {})
        if (options.json) return terminal.write(json(offers))
        const now = site.clock.now()
        const rows = offers.map((one) => [
          one.id,
          one.name,
          one.from,
          one.to,
          one.audience.join(' '),
          one.projects.join(',') || '-',
          timeText(terminal, one.until, now),
        ])
        const heads = ['id', 'name', 'from', 'to', 'approved for', 'projects', 'until']
        terminal.write(table(terminal, heads, rows))
      })
    })

  credential
    .command('accept')
    .description(acceptCredential.summary)
    .argument('<id>')
    .requiredOption('--as <user>', 'who accepts it')
    .action(async (id: string, _: unknown, command: Command) => {
      const { as, ...options } = command.optsWithGlobals() as Answering
      const one = await withSite(terminal, options, ({ run }) => run(acceptCredential, { id, as }))
      terminal.write(options.json ? json(one) : `${id} is ${one.owner}'s now.\n`)
    })

  credential
    .command('decline')
    .description(declineCredential.summary)
    .argument('<id>')
    .option('--as <user>', 'who declines it')
    .action(async (id: string, _: unknown, command: Command) => {
      const { as, ...options } = command.optsWithGlobals() as Partial<Answering> & GlobalOptions
      const input = { id, ...(as !== undefined && { as }) }
      const done = await withSite(terminal, options, ({ run }) => run(declineCredential, input))
      terminal.write(options.json ? json(done) : `${id} stays with its owner.\n`)
    })
}

function explain({ audience, projects }: OfferView): string[] {
  return [
    `It is approved for ${audience.join(', ')}, and will be.`,
    ...(projects.length > 0 ? [`It is shared with ${projects.join(', ')}, and will be.`] : []),
  ]
}
