import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentialPlace } from '../core/credential.ts'
import { type Destination, destinationText, parseDestination } from '../core/destination.ts'
import { proxyKeyHash, proxyKeyText } from '../core/proxy-key.ts'
import { type Credential, LOCAL } from '../core/words.ts'
import { start } from '../main.ts'
import { type OpenStore, openStore } from '../store/open.ts'
import { SECRET } from './origin.ts'

/** Where a Locum of the bench listens, and whom it takes: the message that says it is ready. */
export interface Ready {
  readonly port: number
  readonly user: string
  readonly key: string
}

/** The one user of the bench. */
const USER = 'ada'

/**
 * A Locum with everything on, to be measured: `locum.ts HTTP-PORT HTTPS-PORT CA-FILE`. A user with a proxy
 * key and a credential of their own, redaction and audit. Ends when its parent does or says so.
 */
async function serve(httpPort: string, httpsPort: string, caFile: string): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), 'locum-bench-'))
  const opened = await openStore({ data })
  const key = proxyKeyText(randomBytes(32))
  const { store } = opened
  await store.putPrincipal(LOCAL, { id: USER, kind: 'user', projects: [], admin: false, disabled: false })
  await store.addKey(LOCAL, { hash: proxyKeyHash(key), principal: USER, createdAt: Date.now() })
  const ca = readFileSync(caFile, 'utf8')
  await connect(opened, 'plain', parseDestination(`http://localhost:${httpPort}`), undefined)
  await connect(opened, 'secure', parseDestination(`https://localhost:${httpsPort}`), ca)
  const running = await start({
    data,
    store: opened,
    listen: { proxy: '127.0.0.1:0', console: '127.0.0.1:0' },
    env: {},
    log: (line) => process.stderr.write(`${line}\n`),
  })
  const end = async () => {
    await running.close(0)
    await opened.close()
    rmSync(data, { recursive: true })
    process.exit(0)
  }
  process.once('disconnect', end)
  process.once('SIGTERM', end)
  const ready: Ready = { port: Number(new URL(running.proxyUrl).port), user: USER, key }
  process.send?.(ready)
}

/** A connection, and the user's own credential for it. */
async function connect(
  { store, sealer }: OpenStore,
  name: string,
  destination: Destination,
  ca: string | undefined,
): Promise<void> {
  await store.putConnection(LOCAL, {
    name,
    destinations: [destination],
    ownedWildcard: false,
    method: 'api-key',
    methodConfig: {},
    source: 'per-user',
    fallback: ['profile', 'shared'],
    allow: {},
    headers: [],
    corsOrigins: [],
    allowPrivateNetwork: true,
    allowPlaintext: true,
    ca,
  })
  const unsealed: Credential = {
    id: `credential-${name}`,
    name,
    owner: `user:${USER}`,
    audience: [destinationText(destination)],
    fieldNames: ['apiKey'],
    disabled: false,
    projects: [],
    version: 1,
    sealed: {},
    createdAt: Date.now(),
    changedAt: Date.now(),
  }
  const sealed = sealer.seal(credentialPlace(unsealed, 'apiKey'), Buffer.from(JSON.stringify(SECRET)))
  await store.putCredential(LOCAL, { ...unsealed, sealed: { apiKey: sealed } })
  await store.bind(LOCAL, { connection: name, scope: `user:${USER}`, credential: unsealed.id })
}

const [httpPort, httpsPort, caFile] = process.argv.slice(2)
if (process.send) await serve(httpPort as string, httpsPort as string, caFile as string)
