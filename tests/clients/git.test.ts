import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ENTRANCES, type Entrance } from '../kit/raw.ts'
import { GIT_ENV, gitMissing, startGitUpstream } from './git-upstream.ts'
import { filled, NEEDS } from './needs.ts'
import { SCOPES, startPeople, WHO } from './people.ts'
import { runProgram } from './running.ts'

const USERS = {
  ada: { username: 'ada', password: 'correct horse battery' },
  ben: { username: 'sales-team', password: 'staple-for-sales-9' },
  cleo: { username: 'everyone', password: 'shared:with:colons' },
} as const

/** All that git shows of a refusal by itself. */
const SHOWN = {
  wrong: {
    forward: /^fatal: .*The requested URL returned error: 407$/m,
    connect: /^fatal: .*CONNECT tunnel failed, response 407$/m,
    gateway: /^fatal: could not read Username/m,
  },
  undeclared: {
    forward: /^fatal: .*The requested URL returned error: 403$/m,
    connect: /^fatal: .*CONNECT tunnel failed, response 403$/m,
    gateway: /^fatal: repository .* not found$/m,
  },
} as const

t.test(
  'git clones and pushes through every entrance, with whose credential serves it',
  { skip: gitMissing ?? false },
  async (t) => {
    const accepted = Object.values(USERS).map(({ username, password }) => `${username}:${password}`)
    const upstream = await startGitUpstream(t, accepted, WHO)
    const { ca, origin } = upstream
    const site = await startPeople(
      t,
      { name: 'git', destinations: [origin], ca, auth: { method: 'basic' } },
      USERS,
    )
    const work = t.testdir()
    const { proxy, trust } = NEEDS.git

    /** Runs git for somebody by an entrance; `http.extraHeader` is what shows a key at the gateway. */
    const git = (entrance: Entrance, id: string, key: string, cwd: string, ...args: string[]) => {
      const settings = entrance === 'gateway' ? {} : { ...proxy, ...(entrance === 'connect' && trust) }
      const env = filled(settings, { id, key, port: site.port, caFile: site.caFile })
      const shown = ['-c', `http.extraHeader=Locum-Authorization: Bearer ${key}`]
      return runProgram('git', [...(entrance === 'gateway' ? shown : []), ...args], {
        cwd,
        env: { ...GIT_ENV, GIT_TRACE_CURL: '1', ...env },
      })
    }
    const urlFor = (entrance: Entrance, path: string) => {
      if (entrance === 'gateway') return `http://127.0.0.1:${site.port}/c/git${path}`
      return `${entrance === 'forward' ? 'http' : 'https'}://${upstream.authority}${path}`
    }

    await Promise.all(
      WHO.map(async (who, turn) => {
        const { username, password } = USERS[who]
        const secret = Buffer.from(`${username}:${password}`).toString('base64')
        const content = randomBytes(200_000)
        for (let i = 0; i < ENTRANCES.length; i++) {
          // Everybody pushes by another entrance, and clones that by the others.
          const entrance = ENTRANCES[(turn + i) % ENTRANCES.length] as Entrance
          const label = `${who} by ${entrance}`
          const run = async (cwd: string, ...args: string[]) => {
            const { code, errors } = await git(entrance, who, site.keys[who] as string, cwd, ...args)
            if (code !== 0) throw new Error(`git ${args.join(' ')} ended with ${code}: ${errors}`)
            return errors
          }
          const clone = join(work, `${who}-${entrance}`)
          let trace = await run(work, 'clone', urlFor(entrance, `/${who}.git`), clone)
          if (i > 0) {
            t.ok(readFileSync(join(clone, 'file')).equals(content), `${label}: cloned what was pushed`)
          } else {
            writeFileSync(join(clone, 'file'), content)
            await run(clone, 'add', '.')
            await run(clone, '-c', 'gc.auto=0', 'commit', '-m', 'A file')
            // What does not fit goes out in chunks.
            trace += await run(clone, '-c', 'http.postBuffer=65536', 'push', 'origin', 'HEAD:main')
          }
          t.notOk(trace.includes(secret), `${label}: the client saw no credential`)
          t.match(trace, /x-echo: Basic \*{8,}/i, `${label}: the echo in a header is masked`)
        }
        const seen = upstream.requests.filter(({ url }) => url.startsWith(`/${who}.git/`))
        t.ok(seen.length >= 8)
        t.ok(
          seen.every(({ headers }) => headers.authorization === `Basic ${secret}`),
          `${who}: every request carried the real credential`,
        )
        t.ok(
          seen.some(({ method, headers }) => method === 'POST' && headers['transfer-encoding'] === 'chunked'),
          `${who}: a pack went out in chunks`,
        )
      }),
    )
    const uses = (await site.audit()).filter(({ event }) => event === 'use')
    t.equal(uses.length, upstream.requests.length, 'the audit has every use')
    for (const { path, caller, scope } of uses) {
      const who = String(path).split(/[/.]/)[1] as keyof typeof SCOPES
      t.same([caller, scope], [who, SCOPES[who]])
    }
    t.strictSame(await site.verify(), [])

    const before = upstream.requests.length
    for (const entrance of ENTRANCES) {
      const url = urlFor(entrance, '/ada.git')
      const wrong = await git(entrance, 'ada', `${site.keys.ada}x`, work, 'ls-remote', url)
      const elsewhere = url.replace('//localhost:', '//b.localhost:').replace('/c/git/', '/c/nothing/')
      const undeclared = await git(entrance, 'ada', site.keys.ada as string, work, 'ls-remote', elsewhere)
      // It hides what the proxy said; its trace shows it.
      t.match(wrong.errors, /Proxy-Status: .*caller_unauthenticated/, `${entrance}: a wrong key`)
      t.match(undeclared.errors, /Proxy-Status: .*connection_not_found/, `${entrance}: nobody declared it`)
      t.match(wrong.errors, SHOWN.wrong[entrance])
      t.match(undeclared.errors, SHOWN.undeclared[entrance])
    }
    for (const [leftOut, scheme] of [
      ['http_proxy', 'http'],
      ['HTTPS_PROXY', 'https'],
      ['GIT_SSL_CAINFO', 'https'],
    ] as const) {
      const means = { id: 'ada', key: site.keys.ada as string, port: site.port, caFile: site.caFile }
      const { [leftOut]: _, ...env } = filled({ ...proxy, ...trust }, means)
      const url = `${scheme}://${upstream.authority}/ada.git`
      const { code } = await runProgram('git', ['ls-remote', url], { env: { ...GIT_ENV, ...env } })
      t.not(code, 0, `it needs ${leftOut}`)
    }
    t.equal(upstream.requests.length, before, 'nothing left')
  },
)
