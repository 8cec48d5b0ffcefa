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
export function signedIn(pages: ConsolePages, asked: Asked): Promise<PrincipalRecord | undefined> {
  return whoIsSignedIn(pages.using, asked.cookies.get(sessionCookie(pages)) ?? '')
}

/** Where a page leads on: within the console. */
function nextOf(text: string | null): string {
  return text !== null && /^\/(?![/\\])[\x21-\x7e]*$/.test(text) ? text : '/sign-in'
}

/** The form, in whatever page; `problem` is what was wrong the time before. */
export function signInForm(next: string, problem?: string): Html {
  return html`${problem === undefined ? undefined : html`<p class="problem" role="alert">${problem}</p>`}
<form method="post" action="/sign-in">
<input type="hidden" name="next" value="${next}">
<label>Your id <input name="id" autocomplete="username" required autofocus></label>
<label>Your key <input name="key" type="password" autocomplete="current-password" placeholder="lcm_…" required></label>
<button id="sign-in">Sign in</button>
</form>`
}

/** `GET /sign-in`: for the console, or `?origin=` for a page that wants to call as whoever signs in. */
export async function showSignIn(pages: ConsolePages, asked: Asked): Promise<Answer> {
  const origin = asked.url.searchParams.get('origin')
  const who = await signedIn(pages, asked)
  if (origin !== null) await demandListed(pages, origin)
  if (!who) return page('Sign in', signInForm(nextOf(asked.url.pathname + asked.url.search)))
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
    return page('Sign in', signInForm(next, `${thrown.detail} ${thrown.hint}`), { status: 401 })
  }
  const { key, expiresAt } = await openConsoleSession(pages.using, who)
  const seconds = Math.floor((expiresAt - pages.using.clock.now()) / 1000)
  const cookie = cookieText(sessionCookie(pages), key, seconds)
  return {
    status: 303,
    type: 'text/plain; charset=utf-8',
    body: '',
    headers: { Location: next, 'Set-Cookie': cookie },
  }
}

/** `POST /sign-in/page`: the key of a page, told to exactly its origin. */
export async function signInPage(pages: ConsolePages, asked: Asked): Promise<Answer> {
  demandOwnOrigin(asked)
  const who = await signedIn(pages, asked)
  if (!who)
    throw new LocumError('caller_unauthenticated', 'Nobody is signed in here.', { hint: 'Sign in first.' })
  const origin = formOf(asked).get('origin') ?? ''
  await demandListed(pages, origin)
  const given = await givePageKey(pages.using, who, { origin })
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

/** Throws not_allowed for an origin that no connection lists. */
async function demandListed({ using }: ConsolePages, origin: string): Promise<void> {
  const connections = await using.store.connections(using.as)
  if (connections.some(({ corsOrigins }) => corsOrigins.includes(origin))) return
  throw new LocumError('not_allowed', 'Pages of this origin may use no connection.', {
    hint: "An administrator lists it in a connection's `cors: { origins: […] }`.",
  })
}
