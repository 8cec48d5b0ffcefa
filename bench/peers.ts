import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AWS_KEY, type Origin, SECRET, startNginx } from './origin.ts'
import { findProgram, freePort, type Program, startOnCore, untilListening, versionOf } from './processes.ts'
import { BEARER, COLD, fixedRoutes, locumRoutes, type Routes } from './routes.ts'

/** What a peer is given to start with. */
export interface Place {
  readonly folder: string
  readonly core: number
  readonly origin: Origin
}

/** A proxy that runs. */
export interface Running {
  readonly name: string
  readonly version: string
  readonly routes: Routes
  readonly programs: readonly Program[]
  /** The port of its V8 inspector, where it was asked for. */
  readonly inspector?: number
}

/** A proxy that can be measured. `start` gives undefined where its program is not there. */
export interface Peer {
  readonly name: string
  /** How it gets here. */
  readonly install: string
  start(place: Place): Promise<Running | undefined>
}

/** The one user of the bench, and the variable that holds the secret until it is sealed. */
const USER = 'ada'
const VARIABLE = 'BENCH_SECRET'

/**
 * Locum from a checkout, this one or another to compare with, as anybody starts it and with everything on:
 * a user with a proxy key and a credential of their own, redaction unless it is `off`, audit.
 */
export function locum(name: string, checkout: string, inspected = false, redact?: 'off'): Peer {
  return {
    name,
    install: 'npm ci',
    async start({ folder, core, origin }) {
      const own = mkdtempSync(join(folder, 'locum-'))
      const config = join(own, 'bench.json')
      writeFileSync(config, JSON.stringify(configFor(origin, redact)))
      const file = join(checkout, 'bin/locum')
      const data = ['--data', join(own, 'data')]
      const added = execFileSync(file, [...data, 'principal', 'add', USER], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const [port, consolePort] = [await freePort(), await freePort()]
      const inspector = inspected ? await freePort() : undefined
      const program = startOnCore(
        core,
        name,
        [
          file,
          ...data,
          ...['serve', '--grace', '0', '--config', config],
          ...['--proxy', `127.0.0.1:${port}`, '--console', `127.0.0.1:${consolePort}`],
        ],
        { env: { [VARIABLE]: SECRET, ...(inspector && inspectedAt(inspector)) } },
      )
      await untilListening(program, port)
      const { pid } = program
      return {
        name,
        version: JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')).version,
        inspector,
        programs: [program],
        routes: locumRoutes(origin, { port, pid, user: USER, key: added.trim() }),
      }
    },
  }
}

function inspectedAt(port: number): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --inspect=127.0.0.1:${port}` }
}

function configFor(origin: Origin, redact: 'off' | undefined): object {
  const connections = [
    { name: 'plain', destinations: [`http://localhost:${origin.httpPort}`], allowPlaintext: true },
    { name: 'secure', destinations: [`https://localhost:${origin.httpsPort}`], ca: origin.caFile },
  ]
  return {
    name: 'bench',
    connections: [
      ...connections.map((connection) => ({
        ...connection,
        redact,
        auth: { method: 'api-key' },
        source: 'per-user',
        allowPrivateNetwork: true,
      })),
      {
        name: 'signed',
        destinations: [`https://localhost:${origin.httpsPort}`],
        base: `https://localhost:${origin.httpsPort}`,
        ca: origin.caFile,
        auth: { method: 'aws-keys', region: 'eu-west-1', service: 'dynamodb' },
        source: 'per-user',
        allowPrivateNetwork: true,
      },
      {
        name: 'cold',
        destinations: [`https://${COLD}:${origin.httpsPort}`],
        auth: { method: 'none' },
        allowPrivateNetwork: true,
      },
    ],
    credentials: [
      ...connections.map((connection) => ({
        connection: connection.name,
        for: `user:${USER}`,
        fields: { apiKey: { env: VARIABLE } },
      })),
      { connection: 'signed', for: `user:${USER}`, fields: AWS_KEY },
    ],
  }
}

/** Sets a fixed header; intercepts nothing, but ends TLS with a fixed certificate. */
export const haproxy: Peer = {
  name: 'HAProxy',
  install: 'apt install haproxy',
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
  maxconn 12000
  no strict-limits
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
    return {
      name: 'HAProxy',
      version: versionOf(file, '-v'),
      programs: [program],
      routes: fixedRoutes(origin, ports, program.pid, false),
    }
  },
}

/** As HAProxy. */
export const nginx: Peer = {
  name: 'nginx',
  install: 'apt install nginx',
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
    return {
      name: 'nginx',
      version: versionOf(file, '-v'),
      programs: [program],
      routes: fixedRoutes(origin, ports, program.pid, false),
    }
  },
}
