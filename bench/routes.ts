import type { Job } from './load.ts'
import { type Origin, SECRET, SMALL } from './origin.ts'

/** `cold`: CONNECT to a name that was never asked for, and no request. `signed`: the gateway, signing for AWS. */
export type Entrance = 'forward' | 'gateway' | 'connect' | 'cold' | 'signed'

/** How a proxy is spoken to at one entrance: what of a job depends on it. */
export type Route = Pick<Job, 'port' | 'connect' | 'tls' | 'serverName' | 'request' | 'pid'>

/** A proxy need not have every entrance. */
export type Routes = Readonly<Partial<Record<Entrance, Route>>>

/** What the client writes where the secret belongs; a proxy with a fixed value puts that in its place. */
const STAND_IN = { Authorization: 'Bearer <<$Auth.API_Key>>' }

/** A new name for each `*`; all of them are this machine. */
export const COLD = '*.cold.localhost'

/** The field that the origin wants to see. */
export const BEARER = `Bearer ${SECRET}`

/** A Locum listening on `port`, for the user of this id and key. */
export function locumRoutes(
  origin: Origin,
  x: { port: number; pid: number; user: string; key: string },
): Routes {
  const { port, pid } = x
  const basic = { 'Proxy-Authorization': `Basic ${Buffer.from(`${x.user}:${x.key}`).toString('base64')}` }
  const authority = `localhost:${origin.httpsPort}`
  const gateway = { 'Locum-Authorization': `Bearer ${x.key}`, ...STAND_IN }
  return {
    forward: forwardRoute(origin, port, pid, { ...basic, ...STAND_IN }),
    gateway: {
      port,
      pid,
      ...PLAIN,
      request: requestText(`/c/secure${SMALL}`, `127.0.0.1:${port}`, gateway),
    },
    signed: {
      port,
      pid,
      ...PLAIN,
      request: requestText(`/c/signed${SMALL}`, `127.0.0.1:${port}`, {
        'Locum-Authorization': `Bearer ${x.key}`,
      }),
    },
    connect: {
      port,
      pid,
      ...SECURE,
      connect: connectText(authority, basic),
      request: requestText(SMALL, authority, STAND_IN),
    },
    cold: coldRoute(origin, port, pid, basic),
  }
}

/** A proxy that sets a fixed header, with a port for each entrance; without `intercepts` the third just ends TLS. */
export function fixedRoutes(
  origin: Origin,
  [forward, gateway, connect]: readonly [number, number, number],
  pid: number,
  intercepts: boolean,
): Routes {
  const authority = `localhost:${origin.httpsPort}`
  return {
    forward: forwardRoute(origin, forward, pid, STAND_IN),
    gateway: {
      port: gateway,
      pid,
      ...PLAIN,
      request: requestText(SMALL, `127.0.0.1:${gateway}`, STAND_IN),
    },
    connect: {
      port: connect,
      pid,
      ...SECURE,
      connect: intercepts ? connectText(authority, {}) : undefined,
      request: requestText(SMALL, authority, STAND_IN),
    },
    cold: intercepts ? coldRoute(origin, connect, pid, {}) : undefined,
  }
}

/** The origin itself, with nothing between. */
export function directRoute(origin: Origin): Route {
  return forwardRoute(origin, origin.httpPort, origin.pid, { Authorization: BEARER })
}

function forwardRoute(
  origin: Origin,
  port: number,
  pid: number,
  fields: Readonly<Record<string, string>>,
): Route {
  const host = `localhost:${origin.httpPort}`
  return { port, pid, ...PLAIN, request: requestText(`http://${host}${SMALL}`, host, fields) }
}

function coldRoute(
  origin: Origin,
  port: number,
  pid: number,
  fields: Readonly<Record<string, string>>,
): Route {
  const connect = connectText(`${COLD}:${origin.httpsPort}`, fields)
  return { port, pid, tls: true, serverName: COLD, connect, request: '' }
}

const PLAIN = { tls: false, serverName: '' }
const SECURE = { tls: true, serverName: 'localhost' }

/** A small GET as a program's HTTP library writes it. */
function requestText(target: string, host: string, fields: Readonly<Record<string, string>>): string {
  const all = { Host: host, 'User-Agent': 'bench/1', Accept: '*/*', ...fields }
  return `GET ${target} HTTP/1.1\r\n${linesOf(all)}\r\n`
}

function connectText(authority: string, fields: Readonly<Record<string, string>>): string {
  return `CONNECT ${authority} HTTP/1.1\r\n${linesOf({ Host: authority, ...fields })}\r\n`
}

function linesOf(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
}
