import { createHash, randomBytes } from 'node:crypto'
import { LocumError } from '../core/errors.ts'
import type { PrincipalRecord } from '../core/words.ts'
import {
  closeConsoleSession,
  givePageKey,
  openConsoleSession,
  whoIsSignedIn,
  whoShows,
} from '../operations/sessions.ts'
import { type Answer, type Asked, demandOwnOrigin, formOf } from './asked.ts'
import { type Html, html, page } from './html.ts'
import { demandListed } from './origins.ts'
import type { ConsolePages } from './pages.ts'

/** The cookie of whoever is signed in. `__Host-`: of this origin alone, over TLS or on this machine (RFC 6265bis §4.1.3). */
export function sessionCookie({ siteId }: Pick<ConsolePages, 'siteId'>): string {
  return `__Host-locum-${siteId.slice(0, 8)}`
}

/** A cookie as it is set; empty: it is taken away. */
export function cookieText(name: string, value: string, seconds: number): string {
  return `${name}=${value}; Path=/; Max-Age=${value === '' ? 0 : seconds}; Secure; HttpOnly; SameSite=Lax`
}

/** Who is signed in; undefined: nobody. */
export function signedIn(
  pages: ConsolePages,
  asked: Pick<Asked, 'cookies'>,
): Promise<PrincipalRecord | undefined> {
  return whoIsSignedIn(pages.using, asked.cookies.get(sessionCookie(pages)) ?? '')
}

/** Throws caller_unauthenticated. */
export async function demandSignedIn(pages: ConsolePages, asked: Asked): Promise<PrincipalRecord> {
  const who = await signedIn(pages, asked)
  if (who) return who
  throw new LocumError('caller_unauthenticated', 'Nobody is signed in here.', { hint: 'Sign in first.' })
}

/** An address of the console to which others send people back: registered with them, so always the same. */
export function ownUrl(
  { siteUrl }: Pick<ConsolePages, 'siteUrl'>,
  { url }: Pick<Asked, 'url'>,
  path: string,
): string {
  return `${siteUrl ?? url.origin}${path}`
}

/** What a browser's cookie is called where somebody waits for it; it tells nothing of the cookie. */
export function sessionOf(kind: string, cookie: string): string {
  return createHash('sha256').update(`locum ${kind}\n${cookie}`).digest('hex')
}

/** Where a page leads on: within the console. */
function nextOf(text: string | null): string {
  return text !== null && /^\/(?![/\\])[\x21-\x7e]*$/.test(text) ? text : '/sign-in'
}

/** The form, in whatever page; `problem` is what was wrong the time before. */
function signInForm(next: string, problem?: string): Html {
  return html`${problem === undefined ? undefined : html`<p class="problem" role="alert">${problem}</p>`}
<form method="post" action="/sign-in">
<input type="hidden" name="next" value="${next}">
<label>Your id <input name="id" autocomplete="username" required autofocus></label>
<label>Your key <input name="key" type="password" autocomplete="current-password" placeholder="lcm_…" required></label>
<button id="sign-in">Sign in</button>
</form>`
}

/** As `signInForm`, with the issuers by which people sign in too. */
export function signInChoice({ logins }: Pick<ConsolePages, 'logins'>, next: string, problem?: string): Html {
  const issuers = logins?.issuers ?? []
  return html`${issuers.map(
    (issuer) => html`<form method="post" action="/sign-in/issuer">
<input type="hidden" name="next" value="${next}">
<input type="hidden" name="issuer" value="${issuer}">
<button>Sign in with ${new URL(issuer).host}</button>
</form>`,
  )}${signInForm(next, problem)}`
}

/** `POST /sign-in/issuer`: sends them there. */
export async function signInBy(pages: ConsolePages, asked: Asked): Promise<Answer> {
  demandOwnOrigin(asked)
  if (!pages.logins) throw new LocumError('bad_request', 'Nobody signs in here by an issuer.')
  const form = formOf(asked)
  const session = randomBytes(32).toString('base64url')
  const url = await pages.logins.begin({
    issuer: form.get('issuer') ?? '',
    session: sessionOf('login', session),
    redirectUri: ownUrl(pages, asked, '/sign-in/callback'),
    next: nextOf(form.get('next')),
  })
  return page('Sign in', html`<p><a id="go" href="${url}">Continue to ${new URL(url).host}</a></p>`, {
    data: { go: url },
    cookies: [cookieText(loginCookie(pages), session, 600)],
  })
}

/** `GET /sign-in/callback` */
export async function signInBack(pages: ConsolePages, asked: Asked): Promise<Answer> {
  if (!pages.logins) throw new LocumError('bad_request', 'Nobody signs in here by an issuer.')
  const answer = new URL(ownUrl(pages, asked, '/sign-in/callback'))
  answer.search = asked.url.search
  const session = sessionOf('login', asked.cookies.get(loginCookie(pages)) ?? '')
  const state = asked.url.searchParams.get('state') ?? ''
  const { user, next } = await pages.logins.complete({ state, session, answer })
  return signedInAs(pages, user, next, [cookieText(loginCookie(pages), '', 0)])
}

/** Of a browser on its way to an issuer and back. */
function loginCookie(pages: ConsolePages): string {
  return `${sessionCookie(pages)}-login`
}

async function signedInAs(
  pages: ConsolePages,
  who: PrincipalRecord,
  next: string,
  cookies: readonly string[] = [],
): Promise<Answer> {
  const { key, expiresAt } = await openConsoleSession(pages.using, who)
  const seconds = Math.floor((expiresAt - pages.using.clock.now()) / 1000)
  const headers = {
    Location: next,
    'Set-Cookie': [cookieText(sessionCookie(pages), key, seconds), ...cookies],
  }
  return { status: 303, type: 'text/plain; charset=utf-8', body: '', headers }
}

/** `GET /sign-in`: for the console, or `?origin=` for a page that wants to call as whoever signs in. */
export async function showSignIn(pages: ConsolePages, asked: Asked): Promise<Answer> {
  const origin = asked.url.searchParams.get('origin')
  const who = await signedIn(pages, asked)
  if (origin !== null) await demandListed(pages, origin)
  if (!who) return page('Sign in', signInChoice(pages, nextOf(asked.url.pathname + asked.url.search)))
  if (origin === null)
    return page(
      'Signed in',
      html`<p>You are <strong>${who.id}</strong>.</p>
<form method="post" action="/sign-out"><button id="sign-out">Sign out</button></form>`,
    )
  return page(
    'Let this page call for you?',
    html`<p>For a quarter of an hour <strong>${origin}</strong> may call the connections that list it, as <strong>${who.id}</strong>.</p>
<form method="post" action="/sign-in/page">
<input type="hidden" name="origin" value="${origin}">
<button id="allow">Let it</button>
</form>`,
  )
}

/** `POST /sign-in` */
export async function signIn(pages: ConsolePages, asked: Asked): Promise<Answer> {
  demandOwnOrigin(asked)
  const form = formOf(asked)
  const next = nextOf(form.get('next'))
  let who: PrincipalRecord
  try {
    who = await whoShows(pages.using, form.get('key') ?? '', form.get('id') ?? '')
  } catch (thrown) {
    if (!(thrown instanceof LocumError) || thrown.code !== 'caller_unauthenticated') throw thrown
    return page('Sign in', signInChoice(pages, next, `${thrown.detail} ${thrown.hint}`), { status: 401 })
  }
  return signedInAs(pages, who, next)
}

/** `POST /sign-in/page`: the key of a page, told to exactly its origin. */
export async function signInPage(pages: ConsolePages, asked: Asked): Promise<Answer> {
  demandOwnOrigin(asked)
  const who = await demandSignedIn(pages, asked)
  const origin = formOf(asked).get('origin') ?? ''
  await demandListed(pages, origin)
  const given = await givePageKey(pages.using, who, { origin }, who)
  const message = { type: 'locum:key', ...given, user: who.id, ...(await pages.wayFor(origin, asked)) }
  return page('Signed in', html`<p>You can close this window.</p>`, {
    data: { tell: JSON.stringify(message), to: origin },
  })
}

/** `POST /sign-out` */
export async function signOut(pages: ConsolePages, asked: Asked): Promise<Answer> {
  demandOwnOrigin(asked)
  const name = sessionCookie(pages)
  const cookie = asked.cookies.get(name)
  if (cookie !== undefined) await closeConsoleSession(pages.using, cookie)
  return page('Signed out', html`<p><a href="/sign-in">Sign in again</a></p>`, {
    cookies: [cookieText(name, '', 0)],
  })
}
