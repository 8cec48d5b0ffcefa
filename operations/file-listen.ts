import { dirname, resolve } from 'node:path'
import { LocumError } from '../core/errors.ts'
import { checkOpenness, listenText, parseListenAddress, type TlsFiles } from '../core/listen.ts'
import { type TlsTexts, tlsFaults } from '../core/listener-tls.ts'
import type { FileValue } from './file-schema.ts'
import type { ListenEntry } from './listen-schema.ts'
import type { Report } from './report.ts'
import type { ReadText } from './secret-source.ts'

const LISTENERS = ['proxy', 'console', 'gateway', 'public'] as const

/** A listener as `serve` takes it: every path is absolute. */
export interface DesiredListener {
  readonly address: string
  readonly tls?: TlsFiles
}

export type DesiredListeners = { readonly [K in (typeof LISTENERS)[number]]?: DesiredListener } & {
  readonly allowPlaintextListener: boolean
}

/** What `listen` says. Addresses and TLS files that cannot serve are reported, each at its place. */
export async function readListeners(
  { listen = {} }: FileValue,
  file: string,
  readText: ReadText,
  problem: Report,
): Promise<DesiredListeners> {
  const allowPlaintextListener = listen.allowPlaintextListener ?? false
  const read: { [K in (typeof LISTENERS)[number]]?: DesiredListener } = {}
  for (const key of LISTENERS) {
    const entry = listen[key]
    if (entry === undefined) continue
    read[key] = await readListener(entry, allowPlaintextListener, {
      which: `listen.${key}`,
      beside: (path) => resolve(dirname(file), path),
      readText,
      problem: (within, says, part) => problem(['listen', key, ...within], says, part),
    })
  }
  return { ...read, allowPlaintextListener }
}

interface Reading {
  readonly which: string
  beside(path: string): string
  readonly readText: ReadText
  readonly problem: Report
}

async function readListener(
  entry: ListenEntry,
  allowPlaintext: boolean,
  { which, beside, readText, problem }: Reading,
): Promise<DesiredListener | undefined> {
  const { address, tls } = typeof entry === 'string' ? { address: entry } : entry
  const at = typeof entry === 'string' ? [] : ['address']
  const files = tls && {
    cert: beside(tls.cert),
    key: beside(tls.key),
    ...(tls.clientCa !== undefined && { clientCa: beside(tls.clientCa) }),
  }
  if (tls) await checkTls(tls, readText, problem)
  try {
    const parsed = parseListenAddress(address, which)
    const stands = parsed.kind === 'unix' ? { ...parsed, path: beside(parsed.path) } : parsed
    const text = listenText(stands)
    checkOpenness({ address: parseListenAddress(text, which), tls: files }, which, allowPlaintext)
    return { address: text, tls: files }
  } catch (thrown) {
    if (!(thrown instanceof LocumError)) throw thrown
    problem(at, `${thrown.detail.replace(/\.$/, '')} (${thrown.hint})`)
    return undefined
  }
}

async function checkTls(tls: TlsFiles, readText: ReadText, problem: Report): Promise<void> {
  const texts: { -readonly [K in keyof TlsTexts]?: string } = {}
  let unread = false
  for (const key of ['cert', 'key', 'clientCa'] as const) {
    const path = tls[key]
    if (path === undefined) continue
    const read = await readText(path)
    if ('text' in read) texts[key] = read.text
    else {
      unread = true
      problem(['tls', key], read.problem)
    }
  }
  if (unread) return
  for (const { file, says } of tlsFaults(texts as TlsTexts)) problem(['tls', file], `${tls[file]} ${says}`)
}
