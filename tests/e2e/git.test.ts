import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ENTRANCES, type Entrance } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { proxyFor, runProgram, urlFor } from './clients.ts'
import { GIT_ENV, gitMissing, startGitUpstream } from './git-upstream.ts'

const USERS = {
  ada: { scope: 'user:ada', username: 'ada', password: 'correct horse battery' },
  ben: { scope: 'profile:sales', username: 'sales-team', password: 'staple-for-sales-9' },
  cleo: { scope: 'shared', username: 'everyone', password: 'shared:with:colons' },
} as const
const WHO = Object.keys(USERS) as (keyof typeof USERS)[]

t.test(
  'git clones and pushes through every entrance, with whose credential serves it',
  { skip: gitMissing ?? false },
  async (t) => {
    const upstream = await startGitUpstream(
      t,
      Object.values(USERS).map(({ username, password }) => `${username}:${password}`),
      WHO,
    )
    const site = await startSite(t, {
      principals: [
        { id: 'ada', kind: 'user', profile: 'sales' },
        { id: 'ben', kind: 'user', profile: 'sales' },
        { id: 'cleo', kind: 'user' },
      ],
      connections: [
        {
          name: 'git',
          destinations: [upstream.origin],
          ca: upstream.ca,
          allowPrivateNetwork: true,
          auth: { method: 'basic' },
          source: 'per-user',
          fallback: ['profile', 'shared'],
        },
      ],
      credentials: Object.values(USERS).map(({ scope, username, password }) => ({
        connection: 'git',
        for: scope,
        fields: { username, password },
      })),
    })
    const goal = { ...upstream, name: 'git' }
    const work = mkdtempSync(join(tmpdir(), 'locum-clone-'))
    t.teardown(() => rmSync(work, { recursive: true, force: true }))

    const git = async (cwd: string, ...args: string[]) => {
      const { code, errors } = await runProgram('git', args, {
        cwd,
        env: { ...GIT_ENV, GIT_TRACE_CURL: '1' },
      })
      if (code !== 0) throw new Error(`git ${args[0]} ended with ${code}: ${errors}`)
      return errors
    }
    await Promise.all(
      WHO.map(async (as, who) => {
        const { username, password } = USERS[as]
        const secret = Buffer.from(`${username}:${password}`).toString('base64')
        const content = randomBytes(200_000)
        for (let i = 0; i < ENTRANCES.length; i++) {
          // Everybody pushes by another entrance, and clones that by the others.
          const entrance = ENTRANCES[(who + i) % ENTRANCES.length] as Entrance
          const label = `${as} by ${entrance}`
          const how =
            entrance === 'gateway'
              ? ['-c', `http.extraHeader=Locum-Authorization: Bearer ${site.keys[as]}`]
              : ['-c', `http.proxy=${proxyFor(site, as)}`, '-c', `http.sslCAInfo=${site.caFile}`]
          const clone = join(work, `${as}-${entrance}`)
          let trace = await git(work, ...how, 'clone', urlFor(site, goal, entrance, `/${as}.git`), clone)
          if (i > 0)
            t.ok(readFileSync(join(clone, 'file')).equals(content), `${label}: cloned what was pushed`)
          else {
            writeFileSync(join(clone, 'file'), content)
            await git(clone, 'add', '.')
            await git(clone, '-c', 'gc.auto=0', 'commit', '-m', 'A file')
            // What does not fit goes out in chunks.
            trace += await git(clone, ...how, '-c', 'http.postBuffer=65536', 'push', 'origin', 'HEAD:main')
          }
          t.notOk(trace.includes(secret), `${label}: the client saw no credential`)
          t.match(trace, /x-echo: Basic \*{8,}/i, `${label}: the echo in a header is masked`)
        }
        const seen = upstream.requests.filter(({ url }) => url.startsWith(`/${as}.git/`))
        t.ok(seen.length >= 8)
        t.ok(
          seen.every(({ headers }) => headers.authorization === `Basic ${secret}`),
          `${as}: every request carried the real credential`,
        )
        t.ok(
          seen.some(({ method, headers }) => method === 'POST' && headers['transfer-encoding'] === 'chunked'),
          `${as}: a pack went out in chunks`,
        )
      }),
    )
    const uses = (await site.audit()).filter(({ event }) => event === 'use')
    t.equal(uses.length, upstream.requests.length, 'the audit has every use')
    t.strictSame(await site.verify(), [])
  },
)
