import { join } from 'node:path'
import { NEEDS, type Needs } from './needs.ts'
import { NODE_MISSING, PROGRAMS } from './running.ts'
import { anthropic, github, openai, type startVendor, stripe } from './vendors.ts'

/** What it says of one step: a value, or an error. */
export interface Said {
  readonly value?: unknown
  readonly error?: string
}

/** A vendor's own client, against an API that looks like the vendor's. */
export interface Sdk {
  readonly id: keyof typeof NEEDS
  readonly needs: Needs
  readonly missing: string | undefined
  readonly vendor: Parameters<typeof startVendor>[1]
  readonly command: readonly string[]
  /** Authorization as the vendor sees it. */
  readonly shows: (key: string) => string
  /** Whatever its steps give, with the key as the client may see it; once for each step. */
  readonly gives: (shown: string) => Readonly<Record<string, unknown>>
  /** A step that cannot work by http, and what it says. */
  readonly notByHttp?: Readonly<Record<string, RegExp>>
  /** What it shows of a wrong key, by http and https: the code, but of a client that hides it. */
  readonly onRefused: RegExp
  readonly onRefusedTunnel: RegExp
}

const UNDICI_407 = /Proxy response \(407\) !== 200/
const bearer = (key: string) => `Bearer ${key}`

function sdk(id: Sdk['id'], more: Omit<Sdk, 'id' | 'needs' | 'missing' | 'command'>): Sdk {
  const command = [process.execPath, join(PROGRAMS, `${id}.mjs`)]
  return { id, needs: NEEDS[id], missing: NODE_MISSING, command, ...more }
}

export const SDKS: readonly Sdk[] = [
  sdk('octokit', {
    vendor: github,
    shows: (key) => `token ${key}`,
    gives: (shown) => ({ user: ['ada', shown], create: [3, 'Steam'], pages: [1, 2] }),
    // The next page is told as https://…, which it asks for as it stands.
    notByHttp: { pages: /unable to verify the first certificate/ },
    onRefused: UNDICI_407,
    onRefusedTunnel: UNDICI_407,
  }),
  sdk('stripe', {
    vendor: stripe,
    shows: bearer,
    gives: (shown) => ({
      retrieve: ['cus_1', shown],
      create: ['cus_new', 'Ada & Co', shown],
      pages: ['cus_1', 'cus_2'],
    }),
    onRefused: /caller_unauthenticated/,
    onRefusedTunnel: /caller_unauthenticated/,
  }),
  sdk('openai', {
    vendor: openai,
    shows: bearer,
    gives: (shown) => ({
      completion: `You showed ${shown}`,
      stream: `You showed ${shown}.`,
      upload: ['file-1', true],
    }),
    onRefused: UNDICI_407,
    onRefusedTunnel: UNDICI_407,
  }),
  sdk('anthropic', {
    vendor: anthropic,
    shows: bearer,
    gives: (shown) => ({ message: `You showed ${shown}`, stream: `You showed ${shown}.` }),
    onRefused: UNDICI_407,
    onRefusedTunnel: UNDICI_407,
  }),
]
