import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ready } from './locum.ts'
import { type Origin, startNginx } from './origin.ts'
import { findProgram, freePort, nextMessage, type Program, startOnCore, untilListening } from './processes.ts'
import { BEARER, fixedRoutes, locumRoutes, type Routes } from './routes.ts'

/** What a peer is given to start with. */
export interface Place {
  readonly folder: string
  readonly core: number
  readonly origin: Origin
}

/** A proxy that runs. */
export interface Running {
  readonly name: string
  readonly routes: Routes
  readonly programs: readonly Program[]
}

/** A proxy that can be measured. `start` gives undefined where its program is not there. */
export interface Peer {
  readonly name: string
  start(place: Place): Promise<Running | undefined>
}

/** Locum from a checkout: this one, or another to compare with. */
export function locum(name: string, checkout: string): Peer {
  return {
    name,
    async start({ core, origin }) {
      const script = join(checkout, 'bench/locum.ts')
      // For profiles: --cpu-prof and the like.
      const flags = (process.env.LOCUM_BENCH_FLAGS ?? '').split(' ').filter((flag) => flag !== '')
      const args = [String(origin.httpPort), String(origin.httpsPort), origin.caFile]
      const program = startOnCore(core, name, [process.execPath, ...flags, script, ...args], { ipc: true })
      const ready = await nextMessage<Ready>(program)
      return { name, programs: [program], routes: locumRoutes(origin, { pid: program.pid, ...ready }) }
    },
  }
}

/** Sets a fixed header; intercepts nothing, but ends TLS with a fixed certificate. */
export const haproxy: Peer = {
  name: 'HAProxy',
  async start({ folder, core, origin }) {
    const file = findProgram('haproxy')
    if (!file) return undefined
    const ports = [await freePort(), await freePort(), await freePort()] as const
    const frontend = (name: string, bind: string, backend: string) => `frontend ${name}
  bind 127.0.0.1:${bind}
  http-request set-header Authorization "${BEARER}"
  default_backend ${backend}
`
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
${frontend('forward', String(ports[0]), 'plain')}${frontend('gateway', String(ports[1]), 'secure')}${frontend('connect', `${ports[2]} ssl crt ${origin.bothFile}`, 'secure')}backend plain
  server origin 127.0.0.1:${origin.httpPort}
backend secure
  server origin 127.0.0.1:${origin.httpsPort} ssl verify required ca-file ${origin.caFile} sni str(localhost) verifyhost localhost
`,
    )
    const program = startOnCore(core, 'HAProxy', [file, '-db', '-f', config])
    await untilListening(program, ports[0])
    return { name: 'HAProxy', programs: [program], routes: fixedRoutes(origin, ports, program.pid, false) }
  },
}

/** As HAProxy. */
export const nginx: Peer = {
  name: 'nginx',
  async start({ folder, core, origin }) {
    const file = findProgram('nginx')
    if (!file) return undefined
    const ports = [await freePort(), await freePort(), await freePort()] as const
    const pass = (upstream: string) => `location / {
      proxy_pass ${upstream}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0;
      proxy_set_header Host localhost; proxy_set_header Authorization "${BEARER}";
      proxy_ssl_trusted_certificate ${origin.caFile}; proxy_ssl_verify on; proxy_ssl_name localhost;
      proxy_ssl_server_name on;
    }`
    const program = startNginx(
      core,
      'nginx',
      file,
      folder,
      `upstream plain { server 127.0.0.1:${origin.httpPort}; keepalive 128; keepalive_requests 1000000000; }
  upstream secure { server 127.0.0.1:${origin.httpsPort}; keepalive 128; keepalive_requests 1000000000; }
  ssl_certificate ${origin.certFile}; ssl_certificate_key ${origin.keyFile};
  server { listen 127.0.0.1:${ports[0]} backlog=4096; ${pass('http://plain')} }
  server { listen 127.0.0.1:${ports[1]} backlog=4096; ${pass('https://secure')} }
  server { listen 127.0.0.1:${ports[2]} ssl backlog=4096; ${pass('https://secure')} }`,
    )
    await untilListening(program, ports[0])
    return { name: 'nginx', programs: [program], routes: fixedRoutes(origin, ports, program.pid, false) }
  },
}
