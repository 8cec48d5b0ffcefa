import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../bench/processes.ts'
import { type Issued, issue, makeCa } from '../kit/certificates.ts'
import { dial, type Entrance, keyLine, openTunnel, type RawClient, sendBy } from '../kit/raw.ts'
import type { Ground, Subject } from './attack.ts'
import { Sink, type SinkSpec } from './sink.ts'

/** The upstreams of an attack, as they lie in a folder: what a proxy has to be set up for. */
export interface Plot {
  readonly folder: string
  /** This, as JSON. */
  readonly file: string
  /** PEM of the CA that the https sinks' certificates are of. */
  readonly caFile: string
  readonly leaf: Issued
  readonly placeholder: string
  readonly sinks: Readonly<Record<SinkName, SinkSpec & { readonly scheme: 'http' | 'https' }>>
}

export const SINKS = {
  allowed: { host: 'allowed.localhost', scheme: 'https', known: true },
  plain: { host: 'plain.localhost', scheme: 'http', known: true },
  other: { host: 'other.localhost', scheme: 'https', known: true },
  otherPlain: { host: 'other-plain.localhost', scheme: 'http', known: true },
  stranger: { host: 'stranger.localhost', scheme: 'https', known: false },
  strangerPlain: { host: 'stranger-plain.localhost', scheme: 'http', known: false },
} as const

export type SinkName = keyof typeof SINKS

const FILE = 'plot.json'

/**
 * Lays out a plot in a folder: ports that are free, secrets, certificates, and a configuration file of
 * Locum that says to any reader what the proxy must do.
 */
export async function layPlot(folder: string): Promise<Plot> {
  mkdirSync(folder, { recursive: true })
  const ca = await makeCa('Upstreams of the attacks')
  const hosts = Object.values(SINKS).map(({ host }) => host)
  // Good for every one of them: no certificate is to save a proxy that has mistaken one for another.
  const leaf = await issue(ca, hosts)
  const sinks: Record<string, unknown> = {}
  for (const [name, { host, scheme, known }] of Object.entries(SINKS)) {
    const secret = known ? `sk_${name.toLowerCase()}_${randomBytes(12).toString('hex')}` : undefined
    sinks[name] = { name, host, scheme, port: await freePort(), secret }
  }
  writeFileSync(join(folder, 'upstreams-ca.pem'), ca.cert)
  writeFileSync(
    join(folder, FILE),
    JSON.stringify({ placeholder: '<<$Auth.API_Key>>', leaf, sinks }, null, 2),
  )
  const plot = readPlot(folder)
  writeFileSync(join(folder, 'locum.json'), JSON.stringify(fileFor(plot), null, 2))
  return plot
}

export function readPlot(folder: string): Plot {
  const read = JSON.parse(readFileSync(join(folder, FILE), 'utf8'))
  return { ...read, folder, file: join(folder, FILE), caFile: join(folder, 'upstreams-ca.pem') }
}

/** Locum's file for the plot; the secrets come from the environment (`secretsOf`). */
function fileFor({ sinks }: Plot): object {
  const known = Object.values(sinks).filter(({ secret }) => secret !== undefined)
  return {
    connections: known.map(({ name, scheme, host, port }) => ({
      name,
      destinations: [`${scheme}://${host}:${port}`],
      allowPrivateNetwork: true,
      ...(scheme === 'http' ? { allowPlaintext: true } : { ca: './upstreams-ca.pem' }),
      auth: { method: 'api-key' },
    })),
    credentials: known.map(({ name }) => ({
      connection: name,
      for: 'shared',
      fields: { apiKey: { env: variableOf(name) } },
    })),
  }
}

/** The variables that Locum's file reads the secrets from. */
export function secretsOf({ sinks }: Plot): Record<string, string> {
  return Object.fromEntries(
    Object.values(sinks).flatMap(({ name, secret }) =>
      secret === undefined ? [] : [[variableOf(name), secret]],
    ),
  )
}

function variableOf(name: string): string {
  return `SECRET_${name.toUpperCase()}`
}

/** The plot's upstreams, listening. */
export async function openSinks(plot: Plot): Promise<Record<SinkName, Sink>> {
  const started: Partial<Record<SinkName, Sink>> = {}
  for (const [name, spec] of Object.entries(plot.sinks) as [SinkName, Plot['sinks'][SinkName]][])
    started[name] = await Sink.start(spec, spec.scheme === 'https' ? plot.leaf : undefined)
  return started as Record<SinkName, Sink>
}

/** The ground of one attack. */
export interface OpenGround extends Ground {
  /** All that clients were told, as latin1. */
  readonly heard: string
  /** Closes what the attack opened, and makes the sinks forget it. */
  end(): Promise<void>
}

export function openGround(subject: Subject, plot: Plot, sinks: Record<SinkName, Sink>): OpenGround {
  const work: (() => unknown)[] = []
  const scope = { teardown: (one: () => unknown) => void work.push(one) }
  const as = Object.keys(subject.keys)[0] ?? ''
  const { placeholder } = plot
  let heard = ''
  const listen = (client: RawClient): RawClient => {
    heard += client.received
    client.socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1')
    })
    return client
  }
  const by = (entrance: Entrance) => (entrance === 'forward' ? sinks.plain : sinks.allowed)
  const send: Ground['send'] = async (entrance, to, asked) =>
    listen(await sendBy(scope, subject, entrance, to, { as, path: '/', ...asked }))
  return {
    ...sinks,
    ...scope,
    subject,
    placeholder,
    asks: subject.offers.has('placeholders') ? `Authorization: Bearer ${placeholder}` : '',
    sinks: Object.values(sinks),
    by,
    dial: async () => listen(await dial(scope, subject.port)),
    tunnel: async (authority, options) =>
      listen(await openTunnel(scope, subject, authority, { as, ...options })),
    key: (entrance) => keyLine(subject, entrance, as),
    send,
    async ask(entrance, to, asked) {
      const client = await send(entrance, to, asked)
      const response = await client.response(asked?.method === 'HEAD')
      client.socket.destroy()
      return response
    },
    get heard() {
      return heard
    },
    async end() {
      for (const one of work.reverse()) await one()
      for (const sink of Object.values(sinks)) sink.reset()
    },
  }
}
