import { readFileSync } from 'node:fs'
import type { Consenting } from '../core/consent.ts'
import { LocumError } from '../core/errors.ts'
import type { Logins } from '../core/identity.ts'
import type { Context } from '../operations/operation.ts'
import type { Answer, Asked } from './asked.ts'
import { callBack, callBackWithFragment, connect, showConnect } from './connect.ts'
import { type Check, health, readiness } from './health.ts'
import { fetchKey, showKeyLink } from './key-link.ts'
import { endConsent, openPageSession, preflight, showConsent } from './sessions.ts'
import { showSignIn, signIn, signInBack, signInBy, signInPage, signOut } from './sign-in.ts'

/** Asked by load balancers and container platforms, under whatever name they know. */
export const HEALTH = ['/healthz', '/readyz']

/** What the pages say of this process. */
export interface ProcessPages {
  readonly checks: Readonly<Record<string, Check>>
  /** The CA's certificate. */
  readonly caPem: string
  /** Answers `/healthz?challenge=…` with what only this process can (cli/servers.ts). */
  readonly prove?: (challenge: string) => string
}

/** What the pages that people use are made with. */
export interface ConsolePages {
  readonly siteId: string
  /** The site's public URL. */
  readonly siteUrl: string | undefined
  /** As the program itself: each page says who may. */
  readonly using: Omit<Context, 'env' | 'readFile' | 'warn'>
  /** As whoever opens a link that is good once. */
  readonly opening: Context
  /** This program's. */
  readonly version: string
  readonly consents: Consenting
  /** People who sign in by an issuer; undefined: nobody does. */
  readonly logins: Logins | undefined
  connectUrl(provider: string): string
  /** How a page of that origin reaches the gateway, and what it reaches without. */
  wayFor(
    origin: string,
    asked: Asked,
  ): Promise<{ gateway: string | undefined; direct: Record<string, string> }>
}

interface Options extends ProcessPages {
  readonly people?: ConsolePages
}
type Handle = (options: Options, asked: Asked) => Answer | Promise<Answer>

export const METHODS = ['GET', 'POST', 'DELETE', 'OPTIONS'] as const

/** What a path answers. One entry here is one page. */
export interface Page extends Partial<Record<(typeof METHODS)[number], Handle>> {
  /** On the address for the public too. */
  readonly isPublic: boolean
  /** People look at it: what goes wrong is said as a page. */
  readonly forPeople?: boolean
  /** Pages of listed origins read it. */
  readonly forPages?: boolean
}

const people =
  (handle: (pages: ConsolePages, asked: Asked) => Promise<Answer>): Handle =>
  ({ people: pages }, asked) => {
    if (!pages) throw new LocumError('internal', 'There are no such pages here.')
    return handle(pages, asked)
  }

/** A file of the browser's, as it is. */
function file(name: string, type: string): Page {
  const body = readFileSync(new URL(`../console/${name}`, import.meta.url), 'utf8')
  // A page of any origin may load it.
  const headers = { 'Cross-Origin-Resource-Policy': 'cross-origin', 'Access-Control-Allow-Origin': '*' }
  return { isPublic: true, GET: () => ({ status: 200, type: `${type}; charset=utf-8`, body, headers }) }
}

/** A path that ends in `/*` names something there. */
const PAGES: ReadonlyMap<string, Page> = new Map<string, Page>([
  ['/healthz', { isPublic: true, GET: ({ prove }, { url }) => health(prove, url) }],
  ['/readyz', { isPublic: false, GET: ({ checks }) => readiness(checks) }],
  [
    '/ca.pem',
    {
      isPublic: false,
      GET: ({ caPem }) => ({
        status: 200,
        type: 'application/x-pem-file',
        body: caPem,
        headers: { 'Content-Disposition': 'attachment; filename="locum-ca.pem"' },
      }),
    },
  ],
  ['/sign-in', { isPublic: true, forPeople: true, GET: people(showSignIn), POST: people(signIn) }],
  ['/sign-in/issuer', { isPublic: true, forPeople: true, POST: people(signInBy) }],
  ['/sign-in/callback', { isPublic: true, forPeople: true, GET: people(signInBack) }],
  ['/sign-in/page', { isPublic: true, forPeople: true, POST: people(signInPage) }],
  ['/sign-out', { isPublic: true, forPeople: true, POST: people(signOut) }],
  ['/key', { isPublic: true, forPeople: true, GET: people(showKeyLink), POST: people(fetchKey) }],
  ['/connect/*', { isPublic: true, forPeople: true, GET: people(showConnect), POST: people(connect) }],
  [
    '/oauth/callback',
    { isPublic: true, forPeople: true, GET: people(callBack), POST: people(callBackWithFragment) },
  ],
  ['/api/v1/sessions', { isPublic: false, POST: people(openPageSession) }],
  [
    '/api/v1/oauth/*',
    {
      isPublic: true,
      forPages: true,
      GET: people(showConsent),
      DELETE: people(endConsent),
      OPTIONS: people(preflight),
    },
  ],
  ['/locum.js', file('locum.js', 'text/javascript')],
  ['/console/page.js', file('page.js', 'text/javascript')],
  ['/console/page.css', file('page.css', 'text/css')],
])

/** The page at a path, and what the path names. */
export function findPage(path: string): { page: Page; name: string } | undefined {
  const exact = PAGES.get(path)
  if (exact) return path.endsWith('*') ? undefined : { page: exact, name: '' }
  const match = /^(.*\/)([A-Za-z0-9][A-Za-z0-9._-]{0,127})$/.exec(path)
  const page = match && PAGES.get(`${match[1]}*`)
  return page ? { page, name: match[2] as string } : undefined
}
