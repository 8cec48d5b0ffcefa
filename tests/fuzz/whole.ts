import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { layPlot, openGround, openSinks } from '../attacks/ground.ts'
import { startLocum } from '../attacks/subjects/locum.ts'
import { holds } from '../attacks/table.ts'
import { clientHello, inRecords } from '../kit/client-hello.ts'
import type { RawClient } from '../kit/raw.ts'
import { Broken, type Fuzzer } from './engine.ts'
import { METHODS, readRequests } from './llhttp.ts'
import type { Random } from './random.ts'
import { REQUESTS, WORDS } from './requests.ts'
import { cut } from './wire.ts'

/** In answers of the sinks, so that they are told from Locum's own. */
const MARK = 'X-Sink: yes'
const ASKS = 'Authorization: Bearer <<$Auth.API_Key>>\r\n'
/** ms. Locum lets nobody wait for so long who has sent all. */
const PATIENCE = 60_000

/** How an input begins, which says how it comes in. A TUNNEL has its CONNECT in the bytes, with what comes behind it. */
const WAYS = ['FORWARD', 'GATEWAY', 'CONNECT', 'TUNNEL'] as const
type Way = (typeof WAYS)[number]

const HELLO = inRecords(clientHello({ names: [['plain.localhost']] })).toString('latin1')
const TUNNEL = 'TUNNELCONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n'

type Opened = Awaited<ReturnType<typeof open>>
let opened: Opened | undefined

async function open() {
  const folder = mkdtempSync(join(tmpdir(), 'locum-fuzz-'))
  const plot = await layPlot(folder)
  const subject = await startLocum(plot)
  const sinks = await openSinks(plot)
  return { folder, plot, subject, sinks, heard: [] as string[] }
}

async function close({ folder, subject, sinks }: Opened): Promise<void> {
  await subject.stop()
  for (const sink of Object.values(sinks)) await sink.close()
  rmSync(folder, { recursive: true, force: true })
}

/** Every upstream tells back what it got, in a field and in the body. */
function answerAll({ sinks }: Opened): void {
  for (const sink of Object.values(sinks))
    sink.answer = (head) => {
      const asked = /^authorization: *(.*)$/im.exec(head)?.[1] ?? ''
      return `HTTP/1.1 200 OK\r\n${MARK}\r\nX-Echo: ${asked}\r\nContent-Length: ${head.length}\r\n\r\n${head}`
    }
}

/** Locum as it runs, between clients and upstreams on sockets. */
export const whole: Fuzzer = {
  name: 'whole',
  promise:
    'no secret goes to another host or back to the client, no upstream gets a request more than clients sent and heard an answer to, and the process lives',
  corpus: [
    ...(['FORWARD', 'GATEWAY', 'CONNECT'] as const).flatMap((way) =>
      REQUESTS.map((text) => way + text.replace('\r\nHost', `\r\n${ASKS}Host`)),
    ),
    ...REQUESTS.slice(0, 5).map((text) => TUNNEL + text.replace('\r\nHost', `\r\n${ASKS}Host`)),
    TUNNEL + HELLO,
  ],
  words: [
    ...WORDS,
    ASKS,
    HELLO,
    '<<$Auth.API_Key>>',
    '{{$Auth.API_Key}}',
    '/c/allowed/',
    '/c/other/',
    ...WAYS,
    'Locum-Connection: other\r\n',
    'Locum-For: user:x\r\n',
    'OTHER',
    'STRANGER',
    'KEY',
  ],
  share: 10,
  together: 16,
  async open() {
    opened = await open()
    answerAll(opened)
    return async () => {
      await close(opened as Opened)
      opened = undefined
    }
  },
  async attempt(input, random) {
    const { subject, plot, sinks, heard } = opened as Opened
    const way = WAYS.find((one) => input.startsWith(one)) ?? 'FORWARD'
    const ground = openGround(subject, plot, sinks)
    const written = place(input.replace(way, ''), way, opened as Opened)
    const client = way === 'CONNECT' ? await ground.tunnel(sinks.allowed.authority) : await ground.dial()
    try {
      await converse(client, written, random)
    } finally {
      client.socket.destroy()
    }
    heard.push(ground.heard)
    const answered = ground.heard.split(MARK).length - 1
    const sent = countOf(written)
    if (sent !== undefined && answered > sent)
      throw new Broken(`${answered} answers came for ${sent} requests`)
    return answered > 0
  },
  async settle() {
    const told = (opened as Opened).heard.splice(0).join('\n')
    try {
      look(opened as Opened, told)
      await probe(opened as Opened)
    } catch (thrown) {
      // What comes next is tried on one that is well.
      await close(opened as Opened)
      opened = await open()
      answerAll(opened)
      throw thrown
    }
  },
}

/** The input with what only a run knows: hosts, ports and the caller's key. */
function place(text: string, way: Way, { subject, sinks }: Opened): string {
  const { authority, name } = way === 'FORWARD' || way === 'TUNNEL' ? sinks.plain : sinks.allowed
  const target = {
    FORWARD: `$1 http://${authority}/`,
    GATEWAY: `$1 /c/${name}/`,
    CONNECT: '$1 /',
    TUNNEL: '$1 /',
  }
  const key = {
    FORWARD: `Proxy-Authorization: Bearer ${subject.keys.ada}\r\n`,
    GATEWAY: `Locum-Authorization: Bearer ${subject.keys.ada}\r\n`,
    CONNECT: '',
    TUNNEL: `Proxy-Authorization: Bearer ${subject.keys.ada}\r\n`,
  }
  return text
    .replace(/^(\w+) \//gm, target[way])
    .replaceAll('HOST', way === 'GATEWAY' ? `127.0.0.1:${subject.port}` : authority)
    .replaceAll('OTHER', sinks.otherPlain.authority)
    .replaceAll('STRANGER', sinks.strangerPlain.authority)
    .replaceAll('KEY', subject.keys.ada ?? '')
    .replace('\r\n', `\r\n${key[way]}`)
}

async function converse(client: RawClient, written: string, random: Random): Promise<void> {
  for (const piece of cut(written, random)) client.socket.write(piece)
  client.socket.end()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), PATIENCE)
  })
  const waits = await Promise.race([client.whole().then(() => false), late])
  clearTimeout(timer)
  if (waits) throw new Broken('a client that has sent all waits without end')
}

/** The requests that llhttp finds; undefined where it does not read to the end. */
function countOf(written: string): number | undefined {
  const { messages, fault } = readRequests(Buffer.from(written, 'latin1'))
  const stops = fault !== undefined || messages.some(({ upgrade }) => upgrade)
  return stops ? undefined : messages.length
}

/** Throws Broken where something arrived or was heard that should not have. */
function look({ sinks }: Opened, told: string): void {
  let upstream = 0
  for (const sink of Object.values(sinks)) {
    for (const { secret, name } of Object.values(sinks)) {
      if (secret === undefined) continue
      if (name !== sink.name && holds(sink.bytes, secret))
        throw new Broken(`the secret of ${name} arrived at ${sink.name}`)
      if (holds(told, secret)) throw new Broken(`the secret of ${name} was handed to the client`)
    }
    for (const { bytes } of sink.arrivals) {
      const { messages, fault } = readRequests(Buffer.from(bytes, 'latin1'))
      if (fault !== undefined && !/method/i.test(fault))
        throw new Broken(`llhttp says ${fault} of what arrived: ${JSON.stringify(bytes.slice(0, 600))}`)
      upstream += messages.filter((message) => message.whole && METHODS.has(message.method)).length
    }
    sink.reset()
  }
  const answered = told.split(MARK).length - 1
  if (upstream > answered) throw new Broken(`${upstream} requests arrived, ${answered} were answered`)
}

/** An ordinary request. */
async function probe({ subject, plot, sinks }: Opened): Promise<void> {
  const ground = openGround(subject, plot, sinks)
  const asked = ground.ask('forward', sinks.plain, { headers: [ASKS.trim()] })
  const status = await asked.then((response) => response.status).catch((error: Error) => error.message)
  await ground.end()
  answerAll({ sinks } as Opened)
  if (status !== 200) throw new Broken(`an ordinary request is answered with ${status}`)
}
