import { randomBytes } from 'node:crypto'
import type { ConsentView, Ticket } from '../core/consent.ts'
import { LocumError } from '../core/errors.ts'
import type { Principal, PrincipalRecord, Scope } from '../core/words.ts'
import { type Answer, type Asked, demandOwnOrigin, formOf } from './asked.ts'
import { html, page } from './html.ts'
import { demandListed } from './origins.ts'
import type { ConsolePages } from './pages.ts'
import {
  cookieText,
  demandSignedIn,
  ownUrl,
  sessionCookie,
  sessionOf,
  signedIn,
  signInChoice,
} from './sign-in.ts'

const CALLBACK = '/oauth/callback'
/** Seconds that a browser may be away at a provider. */
const AWAY = 600
/** What an administrator may give in the site's name. */
const SITES = /^(?:shared|profile:\P{Cc}{1,128})$/u

/** Of a browser that came with a link, for the one way to the provider and back. */
function flowCookie(pages: ConsolePages): string {
  return `${sessionCookie(pages)}-flow`
}

/** `GET /connect/PROVIDER`: says what will be given, to whom, and asks. */
export async function showConnect(pages: ConsolePages, asked: Asked): Promise<Answer> {
  const parameters = asked.url.searchParams
  const ticket = parameters.get('ticket')
  const opener = parameters.get('opener')
  const who = await signedIn(pages, asked)
  // Before anything of the provider is told.
  if (ticket === null && !who)
    return page(
      `Connect ${asked.name}`,
      html`<p>Sign in, to say whose it is.</p>${signInChoice(pages, asked.url.pathname + asked.url.search)}`,
    )
  // A page that is only looked at takes no ticket.
  const scope =
    ticket === null
      ? scopeOf(parameters.get('for'), who as PrincipalRecord)
      : ofProvider(await pages.consents.seeTicket(ticket), asked.name).scope
  if (opener !== null) await demandListed(pages, opener, asked.name)
  const view = await pages.consents.view(asked.name)
  return page(
    `Connect ${asked.name}`,
    html`<p>You let this Locum call ${view.provider} ${whom(scope)}, for ${view.connections.map(connectionText)}</p>
<form method="post" action="/connect/${asked.name}">
${ticket === null ? undefined : html`<input type="hidden" name="ticket" value="${ticket}">`}
${ticket === null ? html`<input type="hidden" name="for" value="${scope}">` : undefined}
${opener === null ? undefined : html`<input type="hidden" name="opener" value="${opener}">`}
${scopeChoice(view)}
${view.way === 'fragment' ? html`<p class="note">With this provider the token passes through your browser: it is an old way, which newer ones replace.</p>` : undefined}
<button id="connect">Continue to ${view.provider}</button>
</form>`,
  )
}

/** Throws bad_request for a link to another provider. */
function ofProvider(ticket: Ticket, provider: string): Ticket {
  if (ticket.provider === provider) return ticket
  throw new LocumError('bad_request', 'This link is for another provider.', { hint: 'Ask for a new one.' })
}

function whom(scope: Scope): string {
  if (scope.startsWith('user:')) return `for ${scope.slice('user:'.length)}`
  return scope === 'shared'
    ? 'for everybody who may use it'
    : `for the profile ${scope.slice('profile:'.length)}`
}

function connectionText({ name, destinations }: ConsentView['connections'][number], i: number) {
  return html`${i === 0 ? '' : ', '}<strong>${name}</strong> (${destinations.join(', ')})`
}

function scopeChoice({ scopes: { required, optional, url } }: ConsentView) {
  if (required.length + optional.length === 0) return undefined
  return html`<fieldset><legend>What it may do${url === undefined ? undefined : html` (<a href="${url}" rel="noreferrer">explained</a>)`}</legend>
${required.map((one) => html`<label><input type="checkbox" checked disabled> ${one}</label>`)}
${optional.map((one) => html`<label><input type="checkbox" name="scope" value="${one}" checked> ${one}</label>`)}
</fieldset>`
}

/** `POST /connect/PROVIDER`: sends them there. */
export async function connect(pages: ConsolePages, asked: Asked): Promise<Answer> {
  demandOwnOrigin(asked)
  const form = formOf(asked)
  const opener = form.get('opener') ?? undefined
  if (opener !== undefined) await demandListed(pages, opener, asked.name)
  const ticket = form.get('ticket')
  const cookies: string[] = []
  let cookie = asked.cookies.get(sessionCookie(pages)) ?? ''
  let by: Principal
  let scope: Scope
  if (ticket === null) {
    const who = await demandSignedIn(pages, asked)
    by = { ...who, via: 'session' }
    scope = scopeOf(form.get('for'), who)
  } else {
    ;({ by, scope } = ofProvider(await pages.consents.takeTicket(ticket), asked.name))
    cookie = randomBytes(32).toString('base64url')
    cookies.push(cookieText(flowCookie(pages), cookie, AWAY))
  }
  const { url } = await pages.consents.begin({
    provider: asked.name,
    scope,
    by,
    scopes: form.getAll('scope'),
    session: sessionOf('flow', cookie),
    redirectUri: ownUrl(pages, asked, CALLBACK),
    opener,
  })
  return page(`Connect ${asked.name}`, html`<p><a id="go" href="${url}">Continue to ${asked.name}</a></p>`, {
    data: { go: url },
    cookies,
  })
}

/** `GET /oauth/callback`: the answer stands in the query, or behind the `#`, which a page has to send. */
export async function callBack(pages: ConsolePages, asked: Asked): Promise<Answer> {
  const answer = new URL(ownUrl(pages, asked, CALLBACK))
  answer.search = asked.url.search
  if (!asked.url.searchParams.has('state'))
    return page('One moment', html`<p>The answer of the provider is read.</p>`, {
      data: { send: CALLBACK },
    })
  return complete(pages, asked, asked.url.searchParams.get('state') ?? '', answer)
}

/** `POST /oauth/callback`: what stood behind the `#`. */
export async function callBackWithFragment(pages: ConsolePages, asked: Asked): Promise<Answer> {
  demandOwnOrigin(asked)
  const fragment = formOf(asked).get('fragment') ?? ''
  const answer = new URL(ownUrl(pages, asked, CALLBACK))
  answer.hash = fragment
  return complete(pages, asked, new URLSearchParams(fragment).get('state') ?? '', answer)
}

async function complete(pages: ConsolePages, asked: Asked, state: string, answer: URL): Promise<Answer> {
  const cookies = [flowCookie(pages), sessionCookie(pages)].map((name) => asked.cookies.get(name))
  const sessions = cookies.filter((one) => one !== undefined).map((one) => sessionOf('flow', one))
  const gone = asked.cookies.has(flowCookie(pages)) ? [cookieText(flowCookie(pages), '', 0)] : []
  const done = await pages.consents.complete({ state, sessions, answer })
  const data: Record<string, string> =
    done.opener === undefined
      ? {}
      : { tell: JSON.stringify({ type: 'locum:connected', provider: done.provider }), to: done.opener }
  return page('Connected', html`<p>${done.provider} is connected. You can close this window.</p>`, {
    data,
    cookies: gone,
  })
}

/** Whose credential it becomes: their own, unless an administrator means what the site owns. */
function scopeOf(text: string | null, who: PrincipalRecord): Scope {
  const own: Scope = `user:${who.id}`
  if (text === null || text === own) return own
  if (SITES.test(text) && who.admin) return text as Scope
  throw new LocumError('not_allowed', 'Whose that is, you do not decide.', {
    hint: 'Leave `for` out: it is then your own.',
  })
}
