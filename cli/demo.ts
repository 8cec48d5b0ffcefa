import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Command } from 'commander'
import { LocumError } from '../core/errors.ts'
import { applyFile } from '../operations/apply.ts'
import { addPrincipal, revokePrincipal } from '../operations/principals.ts'
import { type DemoCaller, entrances, type Route } from './demo-client.ts'
import { type EchoUpstream, serveEcho } from './demo-upstream.ts'
import { json } from './output.ts'
import { type GlobalOptions, type LocalSession, withSite } from './session.ts'
import type { Terminal } from './terminal.ts'

interface DemoOptions extends GlobalOptions {
  readonly once?: boolean
}

/** The three users, and whose credential each of them is served with. */
const USERS = [
  { id: 'ada', profile: 'sales', scope: 'user:ada', whose: 'her own key' },
  { id: 'bob', profile: 'sales', scope: 'profile:sales', whose: "his profile's key" },
  { id: 'cyd', profile: undefined, scope: 'shared', whose: 'the shared key' },
] as const

const PLACEHOLDER = '{{$Auth.API_Key}}'
/** ms within which a revoked key has to stop. */
const IN_FORCE_WITHIN = 1_000

/** `locum demo` */
export function demoCommand(terminal: Terminal): Command {
  return new Command('demo')
    .option('--once', 'end by itself; otherwise it stays up, with lines to paste, until Ctrl-C')
    .addHelpText('after', '\nNothing is left behind: it works in a temporary folder, on free ports.')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals() as DemoOptions
      const folder = await mkdtemp(join(tmpdir(), 'locum-demo-'))
      try {
        const upstream = await serveEcho(folder)
        try {
          const secrets = USERS.map(() => `demo_${randomBytes(18).toString('base64url')}`)
          const env = Object.fromEntries(secrets.map((secret, i) => [secretName(i), secret]))
          // The story itself tells what the operations would note.
          await withSite({ ...terminal, note: () => {} }, { data: join(folder, 'data'), env }, (session) =>
            show(terminal, session, { options, folder, upstream, secrets }),
          )
        } finally {
          await upstream.close()
        }
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    })
}

interface Stage {
  readonly options: DemoOptions
  readonly folder: string
  readonly upstream: EchoUpstream
  /** One for each user's scope. */
  readonly secrets: readonly string[]
}

/** The environment variable that the demo's file names. */
function secretName(i: number): string {
  return `DEMO_KEY_${i}`
}

/** What was claimed, and whether it held. */
interface Claim {
  readonly what: string
  readonly held: boolean
}

/** Tells the story on a terminal, or keeps it for one JSON object at the end. */
class Story {
  readonly claims: Claim[] = []
  readonly #say: (line: string) => void

  constructor(say: (line: string) => void) {
    this.#say = say
  }

  say(line = ''): void {
    this.#say(line)
  }

  claim(what: string, held: boolean): void {
    this.claims.push({ what, held })
    this.say(`   ${held ? '✓' : '✗'} ${what}`)
  }
}

async function show(terminal: Terminal, session: LocalSession, stage: Stage): Promise<void> {
  const { options, folder, upstream } = stage
  const stopped = options.once ? undefined : terminal.untilStopped()
  const story = new Story(options.json ? () => {} : (line) => terminal.write(`${line}\n`))
  const callers = await setUp(session, stage, story)
  const { start } = await import('../main.ts')
  const listen = { proxy: '127.0.0.1:0', console: '127.0.0.1:0' }
  const log = (line: string) => terminal.note(`locum: ${line}`)
  const running = await start({ data: session.site.data, store: session.site, listen, env: {}, log })
  try {
    const caPem = (await session.site.means.ca.export('pem')).toString()
    const caFile = join(folder, 'locum-ca.pem')
    await writeFile(caFile, caPem)
    const route: Route = {
      proxyUrl: running.proxyUrl,
      upstream: upstream.url,
      caPem,
      connection: 'echo',
      headers: { 'X-Api-Key': PLACEHOLDER },
    }
    await sendAll(callers, route, upstream, story)
    await revoke(session, callers[0] as Caller, route, story)
    await verify(session, story)
    story.say()
    story.say(story.claims.every(({ held }) => held) ? 'All of it held.' : 'Not all of it held.')
    if (options.json) terminal.write(json({ claims: story.claims }))
    if (stopped) {
      for (const line of linesToPaste(callers[1] as Caller, route, caFile)) story.say(line)
      await stopped
    }
  } finally {
    await running.close(0)
  }
  if (story.claims.every(({ held }) => held)) return
  throw new LocumError('internal', 'The demo did not do what it should have done.', {
    hint: 'The line with ✗ says what.',
  })
}

interface Caller extends DemoCaller {
  readonly whose: string
  /** What stands for the secret of the scope that serves them. */
  readonly secret: string
}

/** Callers, a connection, three credentials; all as a user would enter them. */
async function setUp({ run }: LocalSession, stage: Stage, story: Story): Promise<Caller[]> {
  const { folder, upstream, secrets } = stage
  story.say('Locum puts a secret where a client wrote a placeholder. All of this is thrown away afterwards.')
  story.say()
  story.say(`1 · An upstream that sends back whatever it gets: ${upstream.url}`)
  const callers: Caller[] = []
  for (const [i, { id, profile, scope, whose }] of USERS.entries()) {
    const { key } = await run(addPrincipal, { id, ...(profile === undefined ? {} : { profile }) })
    const secret = secrets[i] as string
    callers.push({ id, key, whose, secret })
    story.say(`   ${id} is to be served with ${whose} (${scope}, sha256 ${digest(secret)})`)
  }
  await writeFile(join(folder, 'upstream-ca.pem'), upstream.caPem)
  const config = {
    name: 'demo',
    connections: [
      {
        name: 'echo',
        destinations: [upstream.url],
        auth: { method: 'api-key' },
        source: 'per-user',
        fallback: ['profile', 'shared'],
        allowPrivateNetwork: true,
        ca: './upstream-ca.pem',
      },
    ],
    credentials: USERS.map(({ scope }, i) => ({
      connection: 'echo',
      for: scope,
      fields: { apiKey: { env: secretName(i) } },
    })),
  }
  const file = join(folder, 'demo.json')
  await writeFile(file, JSON.stringify(config))
  await run(applyFile, { file })
  return callers
}

/** Enough of a digest to tell secrets apart without showing one. */
function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('hex').slice(0, 8)
}

async function sendAll(
  callers: readonly Caller[],
  route: Route,
  upstream: EchoUpstream,
  story: Story,
): Promise<void> {
  story.say()
  story.say(`2 · Each sends  X-Api-Key: ${PLACEHOLDER}  through each entrance`)
  for (const caller of callers) {
    for (const [entrance, send] of Object.entries(entrances)) {
      const { status, body } = await send(route, caller)
      const arrived = upstream.lastHeader('x-api-key')
      const echoed = (JSON.parse(body || '{}') as { headers?: Record<string, string> }).headers?.['x-api-key']
      const replaced = arrived === caller.secret
      const masked = echoed === '*'.repeat(caller.secret.length) && !body.includes(caller.secret)
      const got = arrived === undefined ? 'nothing' : `sha256 ${digest(arrived)}`
      const back = masked ? `${echoed.slice(0, 8)}…` : 'not masked'
      story.claim(
        `${caller.id} by ${entrance.padEnd(7)} → the upstream got ${got}${replaced ? `, ${caller.whose}` : ''} → ${status}, and the client saw ${back}`,
        status === 200 && replaced && masked,
      )
    }
  }
}

async function revoke({ run }: LocalSession, caller: Caller, route: Route, story: Story): Promise<void> {
  story.say()
  story.say(`3 · ${caller.id}'s proxy key is revoked`)
  const { suspended } = await run(revokePrincipal, { id: caller.id })
  const from = performance.now()
  let status = 200
  while (status === 200 && performance.now() - from < IN_FORCE_WITHIN) {
    ;({ status } = await entrances.forward(route, caller))
    if (status === 200) await pause(20)
  }
  const took = Math.round(performance.now() - from)
  story.claim(`it is refused with ${status} after ${took} ms`, status === 407)
  const own = suspended.length === 1
  story.claim('her own credential is disabled until it is entered again, so that nobody takes it up', own)
}

async function verify({ site }: LocalSession, story: Story): Promise<void> {
  story.say()
  story.say('4 · The audit has all of it')
  const uses: { caller: unknown; scope: unknown }[] = []
  for await (const { record } of site.means.trail.read()) {
    if (record.event === 'use') uses.push({ caller: record.caller, scope: record.scope })
  }
  for (const { id, scope } of USERS) {
    const own = uses.filter(({ caller }) => caller === id)
    const right = own.filter((use) => use.scope === scope).length
    story.claim(
      `${own.length} uses by ${id}, with the credential for ${scope}`,
      right >= 3 && right === own.length,
    )
  }
  const faults = await site.means.trail.verify()
  story.claim('its chain of hashes is whole', faults.length === 0)
}

function linesToPaste({ id, key }: Caller, route: Route, caFile: string): string[] {
  const { proxyUrl, upstream, connection } = route
  const header = `-H 'X-Api-Key: ${PLACEHOLDER}'`
  return [
    '',
    'It stays up until Ctrl-C. Lines to paste:',
    '',
    `  curl -x ${proxyUrl} -U ${id}:${key} ${header} ${upstream.replace(/^https:/, 'http:')}/`,
    '',
    `  curl -x ${proxyUrl} -U ${id}:${key} --cacert ${caFile} ${header} ${upstream}/`,
    '',
    `  curl -H 'Locum-Authorization: Bearer ${key}' ${header} ${proxyUrl}/c/${connection}/`,
    '',
  ]
}
