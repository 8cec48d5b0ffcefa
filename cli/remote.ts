import { ApiClient } from '../api/client.ts'
import { systemClock } from '../core/clock.ts'
import { LocumError } from '../core/errors.ts'
import { isProxyKey } from '../core/proxy-key.ts'
import { methods } from '../site.ts'
import { noteLine } from './output.ts'
import type { Session } from './session.ts'
import type { Terminal } from './terminal.ts'

/**
 * The session of a verb at a server, by the key in LOCUM_KEY, or else the one that is asked for or
 * stands on standard input. Throws bad_request, not_allowed.
 */
export async function remoteSession(terminal: Terminal, server: string): Promise<Session> {
  const client = new ApiClient({
    server,
    key: await readKey(terminal),
    fetch,
    warn: (line) => terminal.note(noteLine(line)),
  })
  return {
    methods,
    clock: systemClock,
    consoleUrl: async () => server,
    run: (operation, input) => client.run(operation, input as never),
  }
}

async function readKey(terminal: Terminal): Promise<string> {
  const key = terminal.env.LOCUM_KEY || (await askForKey(terminal))
  if (isProxyKey(key)) return key
  throw new LocumError('bad_request', 'A server is asked with a proxy key, and this is none.', {
    hint: 'Set LOCUM_KEY, or write the key to standard input: lcm_… It is never an argument.',
  })
}

async function askForKey(terminal: Terminal): Promise<string> {
  if (!terminal.asking) return (await terminal.readInput()).trim()
  const { password, isCancel } = await import('@clack/prompts')
  const typed = await password({ message: 'Your key at that server', ...terminal.asking })
  return isCancel(typed) ? '' : typed.trim()
}
