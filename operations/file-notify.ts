import type { Webhook } from '../core/notice.ts'
import { Secret } from '../core/secret.ts'
import type { Path } from './document.ts'
import { readCa } from './file-certificates.ts'
import type { NotifyEntry } from './file-schema.ts'
import type { Context } from './operation.ts'
import { type ReadText, readSecret } from './secret-source.ts'

interface Reading extends Pick<Context, 'env'> {
  readonly readText: ReadText
  problem(path: Path, says: string, part?: 'key' | 'value'): void
}

/** Where notices go. What is wrong with it is reported; undefined where that leaves nothing. */
export async function readNotify(
  { webhook, secret, ca, allowPlaintext, allowPrivateNetwork }: NotifyEntry,
  { env, readText, problem }: Reading,
): Promise<Webhook | undefined> {
  const parsed = URL.canParse(webhook) ? new URL(webhook) : undefined
  const scheme = parsed?.protocol
  if (scheme !== 'https:' && !(scheme === 'http:' && allowPlaintext))
    problem(['notify', 'webhook'], 'expected an https address; `allowPlaintext: true` lets it be http')
  else if (parsed?.username !== '' || parsed.hash !== '')
    problem(['notify', 'webhook'], 'holds a user name or a fragment')
  const read = await readSecret(secret, env, readText)
  if ('problem' in read) problem(['notify', 'secret'], read.problem)
  const pem =
    ca === undefined
      ? undefined
      : await readCa(ca, readText, (path, says, part) => problem(['notify', ...path], says, part))
  if ('problem' in read) return undefined
  return {
    url: webhook,
    secret: new Secret(read.text),
    rules: { ca: pem, allowPlaintext, allowPrivateNetwork },
  }
}
