import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Attack } from '../attack.ts'
import { statusOf } from '../names.ts'

/** What stands between a host that is allowed and one that is not, so that one reader stops where another goes on. */
const BETWEEN = [
  '@',
  ':@',
  '#',
  '#@',
  '?',
  '?@',
  '/',
  '\\',
  '\\@',
  ';',
  ',',
  '%00',
  '%0a',
  '%0d%0a',
  '%20',
  '%23',
  '%2f',
  '%3f',
  '%40',
  '%5c',
  '%2e',
  '%09',
  '\t',
  ' ',
  '&',
  '|',
  '$',
  '^',
  '[',
  ']',
  '\x7f',
  '\x80',
  '\xa0',
  '\xad',
  ':80@',
  ':80#@',
  '::',
  '..',
  '.@',
  '/@',
  '//',
  '@@',
  '%25%34%30',
]

/** Templates of targets: ALLOWED and EVIL are two hosts with their ports. */
function templates(): string[] {
  const own = BETWEEN.flatMap((between) => [
    `http://ALLOWED${between}EVIL/`,
    `http://EVIL${between}ALLOWED/`,
    `http://a${between}ALLOWED${between}EVIL/`,
  ])
  own.push(
    '//EVIL/',
    'http:EVIL/',
    'http:/EVIL/',
    'http:///EVIL/',
    'http:\\\\EVIL/',
    'http://EVIL',
    'HTTP://EVIL/',
    'hTTp://EVIL/',
    ' http://EVIL/',
    'ftp://EVIL/',
    'ws://EVIL/',
    'file://EVIL/',
    'http://EVIL:80:80/',
    'EVIL/',
    'http://[EVIL]/',
    '*',
    'http://',
    'http://:80/',
  )
  const folder = process.env.LOCUM_VECTORS
  const borrowed = folder === undefined ? '' : join(folder, 'ssrf/authority-confusion.txt')
  if (!existsSync(borrowed)) return own
  return [
    ...own,
    ...readFileSync(borrowed, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#')),
  ]
}

export const attack: Attack = {
  title: 'a target that two readers take for two hosts is refused, or is one host to the end',
  rule: 'R1',
  published: 'dam#92',
  needs: ['forward'],
  async run(ground) {
    const { plain, strangerPlain } = ground
    const wrong: string[] = []
    for (const template of templates()) {
      const target = template
        .replaceAll('ALLOWED', plain.authority)
        .replaceAll('EVIL', strangerPlain.authority)
      for (const host of [plain.authority, strangerPlain.authority]) {
        const client = await ground.dial()
        client.send(
          `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${ground.key('forward')}${ground.asks}\r\n\r\n`,
        )
        client.socket.end()
        await statusOf(client)
        if (strangerPlain.bytes !== '')
          wrong.push(`${JSON.stringify(template)}: bytes arrived at the other host`)
        if (plain.bytes !== '' && !plain.bytes.includes(`\r\nHost: ${plain.authority}\r\n`))
          wrong.push(`${JSON.stringify(template)}: the host was told another name`)
        if (plain.bytes !== '' && !plain.bytes.startsWith('GET /'))
          wrong.push(`${JSON.stringify(template)}: passed on as it is`)
        for (const sink of ground.sinks) sink.forget()
      }
    }
    return wrong
  },
}
