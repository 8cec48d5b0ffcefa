import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Teardown } from '../kit/site.ts'
import { startUpstream, type Upstream } from '../kit/upstream.ts'
import { absent } from './running.ts'

const BACKEND = ((): string | undefined => {
  if (absent('git', ['--version'], 'git') !== undefined) return undefined
  const backend = join(execFileSync('git', ['--exec-path'], { encoding: 'utf8' }).trim(), 'git-http-backend')
  return existsSync(backend) ? backend : undefined
})()

export const gitMissing = BACKEND === undefined ? 'git with its http-backend is not installed' : undefined

/** Git without anybody's settings. */
export const GIT_ENV = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.com',
}

/**
 * Bare repositories `/NAME.git` over https with `git http-backend`, for those who show one of the
 * accepted `user:password`. Every answer says the Authorization that came, in `X-Echo`.
 */
export async function startGitUpstream(
  t: Teardown,
  accepted: readonly string[],
  names: readonly string[],
): Promise<Upstream> {
  const root = mkdtempSync(join(tmpdir(), 'locum-git-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  for (const name of names) {
    const folder = join(root, `${name}.git`)
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: root, env: { ...process.env, ...GIT_ENV }, stdio: 'ignore' })
    git('init', '--bare', '-b', 'main', folder)
    git('-C', folder, 'config', 'http.receivepack', 'true')
    git('-C', folder, 'config', 'receive.autogc', 'false')
  }
  const credentials = new Set(accepted.map((text) => `Basic ${Buffer.from(text).toString('base64')}`))
  const serve: RequestListener = (request, response) => {
    const { authorization = '' } = request.headers
    response.setHeader('X-Echo', authorization)
    if (!credentials.has(authorization)) {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end()
      return
    }
    const url = new URL(request.url as string, 'https://upstream')
    const child = spawn(BACKEND as string, [], {
      env: {
        ...GIT_ENV,
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        ...(request.headers['content-encoding'] && {
          HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
        }),
        ...(request.headers['git-protocol'] && { GIT_PROTOCOL: request.headers['git-protocol'] as string }),
        REMOTE_USER: 'ada',
        REMOTE_ADDR: '127.0.0.1',
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    child.stdin.on('error', () => {})
    request.pipe(child.stdin)
    // CGI (RFC 3875 §6.2): header lines, a blank line, the body.
    let head: Buffer | undefined = Buffer.alloc(0)
    child.stdout.on('data', (chunk: Buffer) => {
      if (!head) {
        response.write(chunk)
        return
      }
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      for (const line of head.toString('latin1', 0, end).split('\r\n')) {
        const name = line.slice(0, line.indexOf(':'))
        const value = line.slice(line.indexOf(':') + 1).trim()
        if (name.toLowerCase() === 'status') response.statusCode = Number(value.split(' ')[0])
        else response.setHeader(name, value)
      }
      response.write(head.subarray(end + 4))
      head = undefined
    })
    child.stdout.on('end', () => response.end())
  }
  return startUpstream(t, { serve })
}
