import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peer } from './peers.ts'
import { freePort, startOnCore, untilListening } from './processes.ts'
import { BEARER, fixedRoutes, type Routes } from './routes.ts'

const FOLDER = join(import.meta.dirname, 'peers')

/** A package of `bench/peers`, served by the script of its name. `serves`: the entrances that it has. */
function nodePeer(name: string, serves: (routes: Routes) => Routes): Peer {
  return {
    name,
    install: 'npm ci --prefix bench/peers',
    async start({ folder, core, origin }) {
      const manifest = join(FOLDER, 'node_modules', name, 'package.json')
      if (!existsSync(manifest)) return undefined
      const own = join(folder, name)
      mkdirSync(own, { recursive: true })
      const ports = [await freePort(), await freePort()] as const
      const told = {
        ports,
        httpsPort: origin.httpsPort,
        caFile: origin.caFile,
        authorization: BEARER,
        folder: own,
      }
      const script = join(FOLDER, `${name}.mjs`)
      const program = startOnCore(core, name, [process.execPath, script, JSON.stringify(told)])
      await untilListening(program, ports[0])
      const routes = fixedRoutes(origin, [ports[0], ports[1], ports[0]], program.pid, true)
      const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
      return { name, version, programs: [program], routes: serves(routes) }
    },
  }
}

export const httpProxy: Peer = nodePeer('http-proxy', ({ forward, gateway }) => ({ forward, gateway }))
export const httpMitmProxy: Peer = nodePeer('http-mitm-proxy', ({ forward, connect }) => ({
  forward,
  connect,
}))
export const mockttp: Peer = nodePeer('mockttp', (routes) => routes)
