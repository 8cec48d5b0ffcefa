import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { layPlot, openGround, openSinks } from '../attacks/ground.ts'
import { startLocum } from '../attacks/subjects/locum.ts'
import { holds } from '../attacks/table.ts'
import type { RawClient } from '../kit/raw.ts'
import { Broken, type Fuzzer } from './engine.ts'
import { METHODS, readRequests } from './llhttp.ts'
import { REQUESTS, WORDS } from './requests.ts'
import { cut } from './wire.ts'

/** In answers of the sinks, so that they are told from Locum's own. */
const MARK = 'X-Sink: yes'
const ASKS = 'Authorization: Bearer <<$Auth.API_Key>>\r\n'

type Opened = Awaited<ReturnType<typeof open>>
let opened: Opened | undefined

async function open() {
  const folder = mkdtempSync(join(tmpdir(), 'locum-fuzz-'))
  const plot = await layPlot(folder)
  const subject = await startLocum(plot)
  const sinks = await openSinks(plot)
  return { folder, plot, subject, sinks, heard: [] as string[] }
}

function answerAll({ sinks }: Opened): void {
  for (const sink of Object.values(sinks))
    sink.answer = () => `HTTP/1.1 200 OK\r\n${MARK}\r\nContent-Length: 2\r\n\r\nok`
}

/** Locum as it runs, between clients and upstreams on sockets. */
export const whole: Fuzzer = {
  name: 'whole',
  promise:
    'no secret goes to another host or back to the client, an upstream gets no request more than it is seen to answer, and the process lives',
  corpus: ['GATEWAY', 'FORWARD', 'CONNECT'].flatMap((entrance) =>
    REQUESTS.map((text) => entrance + text.replace('\r\nHost', `\r\n${ASKS}Host`)),
  ),
  words: [
    ...WORDS,
    ASKS,
    '<<$Auth.API_Key>>',
    '{{$Auth.API_Key}}',
    '/c/allowed/',
    '/c/other/',
    'FORWARD',
    'CONNECT',
    'GATEWAY',
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
    const { folder, subject, sinks } = opened
    return async () => {
      await subject.stop()
      for (const sink of Object.values(sinks)) await sink.close()
      rmSync(folder, { recursive: true, force: true })
      opened = undefined
    }
  },
  async attempt(input, random) {
    const { subject, plot, sinks, heard } = opened as Opened
    const entrance = input.startsWith('CONNECT')
      ? 'connect'
      : input.startsWith('GATEWAY')
        ? 'gateway'
        : 'forward'
    const text = input.replace(/^(?:GATEWAY|FORWARD|CONNECT)/, '')
    const ground = openGround(subject, plot, sinks)
    const to = ground.by(entrance)
    const written = text
      .replace(
        /^(\w+) \//gm,
        entrance === 'forward'
          ? `$1 http://${to.authority}/`
          : entrance === 'gateway'
            ? `$1 /c/${to.name}/`
            : '$1 /',
      )
      .replaceAll('HOST', entrance === 'gateway' ? `127.0.0.1:${subject.port}` : to.authority)
      .replaceAll('OTHER', sinks.otherPlain.authority)
      .replaceAll('STRANGER', sinks.strangerPlain.authority)
      .replaceAll('KEY', subject.keys.ada ?? '')
      .replace(/\r\n/, `\r\n${entrance === 'connect' ? '' : ground.key(entrance)}`)
    let client: RawClient
    if (entrance === 'connect') client = await ground.tunnel(to.authority)
    else client = await ground.dial()
    for (const piece of cut(written, random)) client.socket.write(piece)
    client.socket.end()
    await client.whole()
    heard.push(ground.heard)
    client.socket.destroy()
    return ground.heard.includes(MARK)
  },
  async settle() {
    const { subject, sinks, heard } = opened as Opened
    if (!subject) throw new Broken('the process is gone')
    const told = heard.splice(0).join('\n')
    let upstream = 0
    for (const sink of Object.values(sinks)) {
      for (const { secret, name } of Object.values(sinks)) {
        if (secret === undefined) continue
        if (name !== sink.name && holds(sink.bytes, secret))
          throw new Broken(`the secret of ${name} arrived at ${sink.name}`)
        if (holds(told, secret)) throw new Broken(`the secret of ${name} was handed to the client`)
      }
      for (const { bytes } of sink.arrivals) {
        const { messages } = readRequests(Buffer.from(bytes, 'latin1'))
        upstream += messages.filter((message) => message.whole && METHODS.has(message.method)).length
      }
      sink.reset()
    }
    answerAll(opened as Opened)
    const answered = told.split(MARK).length - 1
    if (upstream > answered) throw new Broken(`${upstream} requests arrived, ${answered} were answered`)
    const ground = openGround(subject, (opened as Opened).plot, sinks)
    const { status } = await ground.ask('forward', sinks.plain, { headers: [ASKS.trim()] })
    await ground.end()
    answerAll(opened as Opened)
    if (status !== 200) throw new Broken(`an ordinary request is answered with ${status}`)
  },
}
