import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Attack, Subject } from './attack.ts'
import { type OpenGround, openGround, openSinks, type Plot, type SinkName } from './ground.ts'
import type { Sink } from './sink.ts'

const FOLDER = join(import.meta.dirname, 'portable')

/** ms that one attack may take: who has said nothing by then has not held. */
const PATIENCE = 90_000

/** What came of an attack. `why`: what went wrong, or why it could not be tried. */
export interface Verdict {
  readonly attack: string
  readonly state: 'held' | 'broken' | 'not tried'
  readonly why: readonly string[]
  /** A secret came where it does not belong. */
  readonly lost: boolean
}

/** An attack and the name of its file. */
export type Named = Attack & { readonly name: string }

/** Every attack of the folder, in the order of their files' names. */
export async function readAttacks(): Promise<Named[]> {
  const files = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.ts'))
    .sort()
  return Promise.all(
    files.map(async (file) => {
      const { attack } = (await import(join(FOLDER, file))) as { attack: Attack }
      return { ...attack, name: file.slice(0, -3) }
    }),
  )
}

/** A subject at some address. `again` brings one that has ended back; left out where that is not ours to do. */
export interface Target {
  readonly subject: Subject
  again?(): Promise<Target>
}

/**
 * Tries each attack on a subject, one after another. `told` hears of each as it ends. Throws where the subject
 * does not do what the plot asks for in the first place: then nothing that it withstands would mean anything.
 */
export async function attackAll(
  target: Target,
  plot: Plot,
  attacks: readonly Named[],
  told: (verdict: Verdict) => void = () => {},
): Promise<Verdict[]> {
  const sinks = await openSinks(plot)
  const verdicts: Verdict[] = []
  let { subject, again } = target
  try {
    const amiss = await control(subject, plot, sinks)
    if (amiss.length > 0) throw new Error(`${subject.name} does not do its work: ${amiss.join('; ')}`)
    for (const attack of attacks) {
      const missing = (attack.needs ?? []).filter((need) => !subject.offers.has(need))
      const verdict: Verdict =
        missing.length > 0
          ? {
              attack: attack.name,
              state: 'not tried',
              why: [`${subject.name} offers no ${missing.join(', ')}`],
              lost: false,
            }
          : await tryOne(attack, subject, plot, sinks)
      verdicts.push(verdict)
      told(verdict)
      if (verdict.state === 'broken' && again && (await control(subject, plot, sinks)).length > 0)
        ({ subject, again } = await again())
    }
  } finally {
    for (const sink of Object.values(sinks)) await sink.close()
  }
  return verdicts
}

async function tryOne(
  attack: Named,
  subject: Subject,
  plot: Plot,
  sinks: Record<SinkName, Sink>,
): Promise<Verdict> {
  const why: string[] = []
  const ground = openGround(subject, plot, sinks)
  try {
    why.push(...(await inTime(attack.run(ground))))
  } catch (error) {
    why.push(`it could not be carried out: ${(error as Error).message}`)
  }
  const secrets = strayed(ground)
  why.push(...secrets, ...(await inTime(ground.end().then(() => []))))
  const gone = await control(subject, plot, sinks)
  why.push(...gone.map((one) => `afterwards: ${one}`))
  return { attack: attack.name, state: why.length > 0 ? 'broken' : 'held', why, lost: secrets.length > 0 }
}

async function inTime(work: Promise<readonly string[]>): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<readonly string[]>((resolve) => {
    timer = setTimeout(resolve, PATIENCE, [`it hung for ${PATIENCE / 1000} s`])
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Secrets where they do not belong: at another sink, or with the client. */
function strayed(ground: OpenGround): string[] {
  return ground.sinks.flatMap(({ name, secret }) => {
    if (secret === undefined) return []
    const places = ground.sinks.filter((one) => one.name !== name && holds(one.kept + one.bytes, secret))
    return [
      ...places.map((place) => `the secret of ${name} arrived at ${place.name}`),
      ...(holds(ground.heard, secret) ? [`the secret of ${name} was handed to the client`] : []),
    ]
  })
}

/** Whether text holds a secret, as it stands or in base64, at whichever offset. */
export function holds(text: string, secret: string): boolean {
  return (
    text.includes(secret) ||
    [0, 1, 2].some((offset) => {
      const coded = Buffer.from('.'.repeat(offset) + secret).toString('base64')
      return text.includes(coded.slice(offset === 0 ? 0 : 4, -4))
    })
  )
}

/** What is wrong with an ordinary request by each entrance; nothing where each secret arrives. */
async function control(
  subject: Subject,
  plot: Plot,
  sinks: Record<SinkName, Sink>,
): Promise<readonly string[]> {
  const amiss: string[] = []
  for (const entrance of ['forward', 'connect', 'gateway'] as const) {
    if (!subject.offers.has(entrance)) continue
    const ground = openGround(subject, plot, sinks)
    const to = ground.by(entrance)
    const asked = { headers: ground.asks === '' ? [] : [ground.asks] }
    const tried = (async () => {
      const { status } = await ground.ask(entrance, to, asked)
      if (status !== 200) return [`${entrance} answers ${status}`]
      return to.bytes.includes(`Bearer ${to.secret}`) ? [] : [`${entrance} puts in no secret`]
    })()
    amiss.push(...(await inTime(tried.catch((error: Error) => [`${entrance}: ${error.message}`]))))
    await ground.end()
  }
  return amiss
}
