import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Scope } from '../core/words.ts'
import type { Added } from '../operations/add.ts'
import { listPrincipals } from '../operations/principals.ts'
import { checkAnswers, fillTemplate, type Template } from '../operations/template.ts'
import { contentOf, shellText } from './output.ts'
import { PROXY } from './serve.ts'
import { findServer } from './servers.ts'
import type { LocalSession } from './session.ts'

/** Lines that a person pastes to use a connection. No key is in them. */
export interface PasteLines {
  /** Who calls in them. */
  readonly caller: string
  readonly curl: string
  readonly baseUrl: string
  /** What goes with the base URL. */
  readonly header: string
  /**
   * Variables for the vendor's own client, where it takes a base URL from one; the key can be any text,
   * since Locum replaces it.
   */
  readonly sdk?: string
}

/** How to call an API that was just added, with its harmless request. */
export async function pasteLines(
  session: LocalSession,
  template: Template,
  { connection, credential, beside }: Added,
  answers: Readonly<Record<string, string>>,
): Promise<PasteLines> {
  const { name } = connection
  const { baseUrl, ask } = template
  const { probe } = fillTemplate(template, checkAnswers(template, answers, { secrets: false }))
  const scope = credential.bindings.find((binding) => binding.connection === name)?.for ?? 'shared'
  const caller = await callerFor(session, scope)
  const [destination] = connection.destinations as [string]
  // A key is in these lines: they lead to the server that proves to be this site's, where one runs.
  const proxy = (await findServer(session.site.data))?.proxyUrl ?? `http://${PROXY}`
  // To the upstream it is https all the same, and nothing has to trust a CA.
  const url = `${(connection.base ?? destination).replace(/^https:/, 'http:').replace(/\/$/, '')}${probe.path}`
  const headers = [
    ...(beside.length > 0 ? [['Locum-Connection', name]] : []),
    ...Object.entries(probe.headers ?? {}),
  ].map(([field, value]) => `--header ${shellText(`${field}: ${value}`)} `)
  const keys = Object.values(ask).flatMap(({ variable }) => (variable === undefined ? [] : [variable]))
  const sdk =
    baseUrl &&
    [
      ...keys.map((variable) => `${variable}=any`),
      `${baseUrl.variable}=${proxy}/c/${name}${baseUrl.path}`,
    ].join(' ')
  return {
    caller: caller.id,
    curl: `curl --proxy ${proxy} --proxy-user "${caller.id}:${caller.key}" ${headers.join('')}${url}`,
    baseUrl: `${proxy}/c/${name}/`,
    header: `Locum-Authorization: Bearer ${caller.key}`,
    ...(sdk === undefined ? {} : { sdk }),
  }
}

/** Somebody whom the credential serves, and how their key is written in a shell. */
async function callerFor({ site, run }: LocalSession, scope: Scope): Promise<{ id: string; key: string }> {
  const key = '$LOCUM_KEY'
  if (scope.startsWith('user:')) return { id: scope.slice(5), key }
  const principals = (await run(listPrincipals, {})).filter(({ disabled }) => !disabled)
  if (scope.startsWith('profile:')) {
    return { id: principals.find(({ profile }) => profile === scope.slice(8))?.id ?? 'ID', key }
  }
  // The first start makes this one, and leaves its key there unless a person was shown it.
  const file = join(site.data, 'admin-key')
  if (existsSync(file)) return { id: 'admin', key: contentOf(file) }
  return { id: principals[0]?.id ?? 'admin', key }
}
