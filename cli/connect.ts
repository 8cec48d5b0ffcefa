import { setTimeout as pause } from 'node:timers/promises'
import { Command } from 'commander'
import type { Consenting, ConsentRequest } from '../core/consent.ts'
import { LocumError } from '../core/errors.ts'
import { LOCAL, type Scope } from '../core/words.ts'
import { showPrincipal } from '../operations/principals.ts'
import { checkInput, ScopeText } from '../operations/schema.ts'
import { findHome } from './home.ts'
import { json } from './output.ts'
import { type GlobalOptions, type LocalSession, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

interface ConnectOptions extends GlobalOptions {
  readonly as?: string
  readonly for?: string
}

/** `locum connect PROVIDER` */
export function connectCommand(terminal: Terminal): Command {
  return new Command('connect')
    .argument('<provider>')
    .option('--as <id>', 'the user whose consent it is')
    .option('--for <scope>', 'whom it serves, where that is not one user: shared or profile:NAME')
    .addHelpText(
      'after',
      `
A provider with the grant device_code gives a code to type at its page; this waits until that
is done. For any other it prints a link, good for ten minutes and once, which is opened in the
browser of whoever consents; a server has to run.

  $ locum connect google --as ada
  $ locum connect reports --for shared`,
    )
    .action(async (provider: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals() as ConnectOptions
      await withSite(terminal, options, async (session) => {
        const scope = await scopeOf(session, options)
        const request: ConsentRequest = { provider, scope, by: LOCAL }
        await session.site.withConsents(async (consents) => {
          const { way } = await consents.view(provider)
          if (way === 'device') await byCode(terminal, consents, request, options)
          else await byLink(terminal, session, consents, request, options)
        })
      })
    })
}

async function scopeOf({ run }: LocalSession, { as, for: text }: ConnectOptions): Promise<Scope> {
  if ((as === undefined) === (text === undefined))
    throw new LocumError('bad_request', 'Say for whom: --as ID for a user, or --for shared or profile:NAME.')
  if (text !== undefined) return checkInput(ScopeText, text) as Scope
  const { id } = await run(showPrincipal, { id: as })
  return `user:${id}`
}

async function byCode(
  terminal: Terminal,
  consents: Consenting,
  request: ConsentRequest,
  { json: asJson }: ConnectOptions,
): Promise<void> {
  const code = await consents.beginDevice(request)
  const { userCode, verificationUri, verificationUriComplete } = code
  terminal.note(`Open ${verificationUriComplete ?? verificationUri}`)
  terminal.note(`and type the code ${userCode}`)
  const waiting = await spin(terminal, `Waiting for ${request.provider}`)
  let done: Awaited<ReturnType<Consenting['awaitDevice']>>
  try {
    done = await consents.awaitDevice(request, code, (ms) => pause(ms))
  } catch (thrown) {
    waiting('It was not given.')
    throw thrown
  }
  waiting('It is given.')
  terminal.write(
    asJson ? json(done) : `${done.credential} serves ${request.provider} for ${request.scope}.\n`,
  )
}

/** Shows that something goes on, where somebody looks; gives what ends it. */
async function spin({ asking }: Terminal, text: string): Promise<(end: string) => void> {
  if (!asking) return () => {}
  const { spinner } = await import('@clack/prompts')
  const shown = spinner({ output: asking.output })
  shown.start(text)
  return (end) => shown.stop(end)
}

async function byLink(
  terminal: Terminal,
  session: LocalSession,
  consents: Consenting,
  request: ConsentRequest,
  { json: asJson }: ConnectOptions,
): Promise<void> {
  const home = await findHome(session, 'the provider sends people back to one')
  const ticket = await consents.ticket(request)
  const link = `${home}/connect/${request.provider}?ticket=${ticket}`
  if (asJson) return terminal.write(json({ link }))
  terminal.write(`${link}\n`)
  terminal.note(`Open it in the browser of whoever consents. It is good for ten minutes, once.`)
  terminal.note(`Registered with ${request.provider} has to be: ${home}/oauth/callback`)
}
