import { LocumError } from '../core/errors.ts'
import { showSite } from '../operations/site.ts'
import type { Session } from './session.ts'

/** Where links lead: the site's URL, or the server that runs on the folder. Throws bad_request. `because`: why it takes one. */
export async function findHome({ run, consoleUrl }: Session, because: string): Promise<string> {
  const { url } = await run(showSite, {})
  const home = url ?? (await consoleUrl())
  if (home !== undefined) return home
  throw new LocumError('bad_request', `No server runs on this folder, and ${because}.`, {
    hint: 'Start it: locum serve. Or say `site: { url: … }` in the file.',
  })
}
