import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ready } from './locum.ts'
import { type Origin, SMALL, startNginx } from './origin.ts'
import { findProgram, freePort, nextMessage, type Program, startOnCore, untilListening } from './processes.ts'
import { type Route, requestText, SECRET, STAND_IN, type Workload } from './workloads.ts'

/** What a peer is given to start with. */
export interface Place {
  readonly folder: string
  readonly core: number
  readonly origin: Origin
}

/** A proxy that runs. */
export interface Running {
  readonly name: string
  readonly routes: Readonly<Partial<Record<Workload, Route>>>
  stop(): Promise<void>
}

/** A proxy that can be measured. `start` gives undefined where its program is not there. */
export interface Peer {
  readonly name: string
  start(place: Place): Promise<Running | undefined>
}

const BEARER = `Bearer ${SECRET}`

/** Locum from a checkout: this one, or another to compare with. */
export function locum(name: string, checkout: string): Peer {
  return {
    name,
    async start({ core, origin }) {
      const { httpPort, httpsPort, caFile } = origin
      const script = join(checkout, 'bench/locum.ts')
      const flags = (process.env.LOCUM_BENCH_FLAGS ?? '').split(' ').filter(Boolean)
      const args = [script, String(httpPort), String(httpsPort), caFile]
      const program = startOnCore(core, name, [process.execPath, ...flags, ...args], { ipc: true })
      const { port, key } = await nextMessage<Ready>(program)
      const basic = { 'Proxy-Authorization': `Basic ${Buffer.from(`ada:${key}`).toString('base64')}` }
      const { pid } = program
      const inTunnel = `localhost:${httpsPort}`
      return running(name, [program], {
        W1: forward(port, origin, { ...basic, ...STAND_IN }, pid),
        W2: {
          port,
          pid,
          tls: false,
          request: requestText(`/c/secure${SMALL}`, `127.0.0.1:${port}`, {
            'Locum-Authorization': `Bearer ${key}`,
            ...STAND_IN,
          }),
        },
        W3: {
          port,
          pid,
          tls: true,
          connect: connectText(inTunnel, basic),
          request: requestText(SMALL, inTunnel, STAND_IN),
        },
      })
    },
  }
}

/** Sets a fixed header; W3 ends TLS with a fixed certificate, without CONNECT. */
const haproxy: Peer = {
  name: 'HAProxy',
  async start({ folder, core, origin }) {
    const file = findProgram('haproxy')
    if (!file) return undefined
    const ports = [await freePort(), await freePort(), await freePort()] as const
    const set = `http-request set-header Authorization "${BEARER}"`
    const config = join(folder, 'haproxy.cfg')
    writeFileSync(
      config,
      `global
  nbthread 1
  maxconn 8000
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend w1
  bind 127.0.0.1:${ports[0]}
  ${set}
  default_backend plain
frontend w2
  bind 127.0.0.1:${ports[1]}
  ${set}
  default_backend secure
frontend w3
  bind 127.0.0.1:${ports[2]} ssl crt ${origin.bothFile}
  ${set}
  default_backend secure
backend plain
  server origin 127.0.0.1:${origin.httpPort}
backend secure
  server origin 127.0.0.1:${origin.httpsPort} ssl verify required ca-file ${origin.caFile} sni str(localhost) verifyhost localhost
`,
    )
    const program = startOnCore(core, 'HAProxy', [file, '-db', '-f', config])
    await untilListening(program, ports[0])
    return running('HAProxy', [program], fixedRoutes(origin, ports, program.pid))
  },
}

/** As HAProxy. */
const nginx: Peer = {
  name: 'nginx',
  async start({ folder, core, origin }) {
    const file = findProgram('nginx')
    if (!file) return undefined
    const ports = [await freePort(), await freePort(), await freePort()] as const
    const pass = (
      scheme: string,
    ) => `proxy_pass ${scheme}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host localhost; proxy_set_header Authorization "${BEARER}";
      proxy_ssl_trusted_certificate ${origin.caFile}; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_server_name on;`
    const program = startNginx(
      core,
      'nginx',
      file,
      folder,
      `upstream plain { server 127.0.0.1:${origin.httpPort}; keepalive 128; keepalive_requests 1000000000; }
  upstream secure { server 127.0.0.1:${origin.httpsPort}; keepalive 128; keepalive_requests 1000000000; }
  ssl_certificate ${origin.certFile}; ssl_certificate_key ${origin.keyFile};
  server { listen 127.0.0.1:${ports[0]}; location / { ${pass('http://plain')} } }
  server { listen 127.0.0.1:${ports[1]}; location / { ${pass('https://secure')} } }
  server { listen 127.0.0.1:${ports[2]} ssl; location / { ${pass('https://secure')} } }`,
    )
    await untilListening(program, ports[0])
    return running('nginx', [program], fixedRoutes(origin, ports, program.pid))
  },
}

/** Intercepts with certificates of its own, and sets a fixed header; W2 as a reverse proxy. */
const mitmproxy: Peer = {
  name: 'mitmproxy',
  async start({ folder, core, origin }) {
    const file = findProgram('mitmdump')
    if (!file) return undefined
    const [regular, reverse] = [await freePort(), await freePort()]
    const begin = async (port: number, ...more: readonly string[]) => {
      const own = join(folder, `mitmproxy-${port}`)
      mkdirSync(own)
      const set = [`confdir=${own}`, `ssl_verify_upstream_trusted_ca=${origin.caFile}`, 'flow_detail=0']
      const program = startOnCore(core, 'mitmproxy', [
        file,
        '-q',
        ...['--listen-host', '127.0.0.1', '--listen-port', String(port)],
        ...set.flatMap((option) => ['--set', option]),
        ...['--modify-headers', `/~q/Authorization/${BEARER}`],
        ...more,
      ])
      await untilListening(program, port)
      return program
    }
    const forwards = await begin(regular)
    const reverses = await begin(reverse, '--mode', `reverse:https://localhost:${origin.httpsPort}`)
    const routes = fixedRoutes(origin, [regular, reverse, regular], forwards.pid)
    return running('mitmproxy', [forwards, reverses], {
      ...routes,
      W2: { ...routes.W2, pid: reverses.pid },
      W3: { ...routes.W3, connect: connectText(`localhost:${origin.httpsPort}`, {}) },
    })
  },
}

export const PEERS: readonly Peer[] = [haproxy, nginx, mitmproxy]

function running(name: string, programs: readonly Program[], routes: Running['routes']): Running {
  return {
    name,
    routes,
    async stop() {
      for (const program of programs) await program.stop()
    },
  }
}

function forward(port: number, origin: Origin, fields: Record<string, string>, pid: number): Route {
  const host = `localhost:${origin.httpPort}`
  return { port, pid, tls: false, request: requestText(`http://${host}${SMALL}`, host, fields) }
}

/** A proxy that sets a fixed header, with a port for each workload. */
function fixedRoutes(
  origin: Origin,
  [w1, w2, w3]: readonly [number, number, number],
  pid: number,
): Record<Workload, Route> {
  const host = `localhost:${origin.httpsPort}`
  return {
    W1: forward(w1, origin, STAND_IN, pid),
    W2: { port: w2, pid, tls: false, request: requestText(SMALL, `127.0.0.1:${w2}`, STAND_IN) },
    W3: { port: w3, pid, tls: true, request: requestText(SMALL, host, STAND_IN) },
  }
}

function connectText(authority: string, fields: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ Host: authority, ...fields }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `CONNECT ${authority} HTTP/1.1\r\n${lines.join('')}\r\n`
}
