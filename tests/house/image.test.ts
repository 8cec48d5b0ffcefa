import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ROOT, readSources } from './sources.ts'

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** Instructions with their continued lines joined, comments left out. */
const INSTRUCTIONS: readonly string[] = read('Dockerfile')
  .replace(/^\s*#.*\n/gm, '')
  .replace(/\\\n\s*/g, ' ')
  .split('\n')
  .filter((line) => line !== '')
const LAST_STAGE = INSTRUCTIONS.slice(INSTRUCTIONS.findLastIndex((line) => line.startsWith('FROM ')))
const last = (word: string) => LAST_STAGE.filter((line) => line.startsWith(`${word} `)).at(-1)

t.test('the image is slim, and its Node is one that runs Locum', async (t) => {
  for (const from of INSTRUCTIONS.filter((line) => line.startsWith('FROM '))) {
    t.match(from, /^FROM node:24-bookworm-slim(?: AS \w+)?$/)
  }
})

t.test('the image has no compiler, no development package and no foreign script', async (t) => {
  t.notMatch(INSTRUCTIONS.join('\n'), /apt-get|apk |build-essential|node-gyp|npm install|npx /)
  const installs = INSTRUCTIONS.filter((line) => line.includes('npm '))
  t.equal(installs.length, 1)
  t.match(installs[0], /npm ci .*--omit=dev.* --ignore-scripts/)
  const { dependencies, devDependencies } = JSON.parse(read('package.json'))
  t.ok(devDependencies.node && devDependencies.typescript && !dependencies.node && !dependencies.typescript)
})

t.test('the container is not root, and writes to its volume alone', async (t) => {
  const user = LAST_STAGE.findLastIndex((line) => line.startsWith('USER '))
  t.match(LAST_STAGE[user], /^USER [1-9]\d*:[1-9]\d*$/)
  t.notMatch(LAST_STAGE.slice(user).join('\n'), /^(?:RUN|COPY|ADD) /m, 'nothing is made after it')
  t.equal(last('VOLUME'), 'VOLUME /data')
  t.match(last('ENV'), /\bLOCUM_DATA=\/data\b/)
})

t.test('the program is started by exec, in lists of words and not through a shell', async (t) => {
  t.same(JSON.parse(last('ENTRYPOINT')?.slice('ENTRYPOINT '.length) ?? ''), ['/app/bin/locum'])
  t.same(JSON.parse(last('CMD')?.slice('CMD '.length) ?? ''), ['serve'])
  t.match(read('bin/locum'), /^#!\/bin\/sh\n/)
})

t.test('the health check asks /healthz with what the image has', async (t) => {
  const [, words = ''] = /^HEALTHCHECK .*? CMD (.*)$/.exec(last('HEALTHCHECK') ?? '') ?? []
  const [command, flag, script] = JSON.parse(words)
  t.same([command, flag], ['node', '-e'])
  t.match(script, /^fetch\(process\.env\.LOCUM_HEALTHZ\)/)
  t.match(last('ENV'), /LOCUM_HEALTHZ=http:\/\/127\.0\.0\.1:8081\/healthz/)
})

t.test('every room that the program runs from goes into the image, and nothing else', async (t) => {
  const sent = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '')
  t.equal(sent[0], '*', 'what is not named stays out')
  const rooms = readSources().map(({ path }) =>
    path.includes('/') ? (path.split('/')[0] as string) : '*.ts',
  )
  for (const room of new Set(rooms)) {
    const runs = !['tests', 'bench', 'docs', 'examples'].includes(room)
    t.equal(sent.includes(`!${room}`), runs, room)
  }
  for (const file of ['bin', 'package.json', 'package-lock.json', 'LICENSE'])
    t.ok(sent.includes(`!${file}`), file)
})
