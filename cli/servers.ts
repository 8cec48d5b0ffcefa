import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isGone } from './left-behind.ts'

/** The folder in the data folder in which each server says where it is; one file a server, 0600. */
const FOLDER = 'servers'

/** ms that a server has to answer. */
const PATIENCE = 1_000

/** Where a server is. */
export interface ServerAddress {
  readonly proxyUrl: string
  readonly consoleUrl: string
}

interface ServerFile {
  readonly proxy: string
  readonly console: string
  readonly pid: number
  readonly host: string
  /** Known to this server and to whoever may read its data folder; never sent. */
  readonly secret: string
}

/**
 * What makes a server known to the other commands on its data folder. `prove` answers a challenge, so
 * that no other program on an address that a killed server left is taken for it.
 */
export class ServerSign {
  readonly #data: string
  readonly #secret = randomBytes(32).toString('base64url')
  readonly #name = `${randomBytes(8).toString('hex')}.json`

  constructor(data: string) {
    this.#data = data
  }

  prove(challenge: string): string {
    return proof(this.#secret, challenge)
  }

  /** Takes down, too, what servers of this machine left that were killed. */
  async put({ proxyUrl, consoleUrl }: ServerAddress): Promise<void> {
    const folder = join(this.#data, FOLDER)
    await mkdir(folder, { mode: 0o700, recursive: true })
    for (const { path, file } of await readFiles(folder)) {
      if (file && isGone(file)) await rm(path, { force: true })
    }
    const file: ServerFile = {
      proxy: proxyUrl,
      console: consoleUrl,
      pid: process.pid,
      host: hostname(),
      secret: this.#secret,
    }
    const unfinished = join(folder, `${this.#name}.new`)
    await writeFile(unfinished, `${JSON.stringify(file)}\n`, { mode: 0o600, flag: 'wx' })
    await rename(unfinished, join(folder, this.#name))
  }

  async withdraw(): Promise<void> {
    await rm(join(this.#data, FOLDER, this.#name), { force: true })
  }
}

/**
 * A server on a data folder that answers now and can be named in a proxy variable: plain HTTP on an
 * address of this machine. The one that started last, where there are several; undefined where there
 * is none.
 */
export async function findServer(data: string): Promise<ServerAddress | undefined> {
  for (const { file } of await readFiles(join(data, FOLDER))) {
    if (!file || !isLoopback(file.proxy) || !isLoopback(file.console)) continue
    if (await answers(file)) return { proxyUrl: file.proxy, consoleUrl: file.console }
  }
  return undefined
}

/** Newest first. A file that cannot be read as one is undefined. */
async function readFiles(folder: string): Promise<{ path: string; file: ServerFile | undefined }[]> {
  const found: { path: string; at: number; file: ServerFile | undefined }[] = []
  for (const name of await namesIn(folder)) {
    const path = join(folder, name)
    try {
      const { mtimeMs } = await stat(path)
      found.push({ path, at: mtimeMs, file: parse(await readFile(path, 'utf8')) })
    } catch (thrown) {
      // Its server stopped meanwhile.
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
    }
  }
  return found.sort((a, b) => b.at - a.at)
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith('.json'))
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw thrown
  }
}

function parse(text: string): ServerFile | undefined {
  let value: Partial<Record<keyof ServerFile, unknown>> | null
  try {
    value = JSON.parse(text)
  } catch {
    // Whoever wrote it is not one that can be used.
    return undefined
  }
  const texts = [value?.proxy, value?.console, value?.host, value?.secret]
  if (!texts.every((text) => typeof text === 'string') || typeof value?.pid !== 'number') return undefined
  return value as ServerFile
}

function isLoopback(url: string): boolean {
  return /^http:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]):\d{1,5}$/.test(url)
}

function proof(secret: string, challenge: string): string {
  return createHmac('sha256', secret).update(`locum server\n${challenge}`).digest('base64url')
}

function answers(file: ServerFile): Promise<boolean> {
  const challenge = randomBytes(32).toString('hex')
  const expected = Buffer.from(proof(file.secret, challenge))
  return new Promise((resolve) => {
    // In all, however slowly something answers.
    const signal = AbortSignal.timeout(PATIENCE)
    const url = `${file.console}/healthz?challenge=${challenge}`
    const asking = request(url, { agent: false, signal }, (response) => {
      // Its head says it; a body without an end would keep this process from ending.
      asking.destroy()
      const shown = Buffer.from(String(response.headers['locum-proof'] ?? ''))
      resolve(shown.length === expected.length && timingSafeEqual(shown, expected))
    })
    // One that does not answer is not there, whatever the reason.
    asking.on('error', () => resolve(false))
    asking.end()
  })
}
