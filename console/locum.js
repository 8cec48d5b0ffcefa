/**
 * Locum in a browser: signs a person in, calls connections through the gateway, and has them consent at providers. The
 * key that a page calls with lives for a quarter of an hour, in memory, and for the origin of this page alone; what
 * providers give never comes here.
 *
 *   import { locum } from 'https://locum.example.com/locum.js'
 *   await locum.signIn()
 *   const answer = await locum.fetch('crm', '/v1/contacts')
 *
 * Its types are in locum.d.ts beside it.
 */
const home = new URL(import.meta.url).origin
let session

/** What Locum itself refused; `code` and `authorizeUrl` are those of the answer. */
export class LocumError extends Error {
  constructor({ code, detail, authorizeUrl, hint }) {
    super(detail ?? code)
    this.name = 'LocumError'
    this.code = code
    this.hint = hint
    this.authorizeUrl = authorizeUrl
  }
}

/** A pop-up at the console, until it tells what it was opened for. */
function popUp(path, type) {
  const opened = window.open(`${home}${path}`, '_blank', 'popup,width=520,height=720')
  if (!opened) return Promise.reject(new LocumError({ code: 'popup_blocked', detail: 'The browser let no pop-up open: call this from a click.' }))
  return new Promise((resolve, reject) => {
    const end = (settle, value) => {
      removeEventListener('message', hear)
      clearInterval(watch)
      settle(value)
    }
    const hear = ({ origin, source, data }) => {
      if (origin === home && source === opened && data?.type === type) end(resolve, data)
    }
    addEventListener('message', hear)
    const watch = setInterval(() => {
      if (opened.closed) end(reject, new LocumError({ code: 'popup_closed', detail: 'The pop-up was closed.' }))
    }, 300)
  })
}

async function signIn() {
  const { key, expiresAt, user, gateway, direct } = await popUp(
    `/sign-in?origin=${encodeURIComponent(location.origin)}`,
    'locum:key',
  )
  use({ key, expiresAt, user, gateway, direct })
  return { user, expiresAt: new Date(expiresAt) }
}

/** A key that a back end has asked for (`POST /api/v1/sessions`), as it came. */
function use(given) {
  session = { ...given, expiresAt: +new Date(given.expiresAt) }
}

function signOut() {
  session = undefined
}

function inForce() {
  if (session && session.expiresAt > Date.now()) return session
  throw new LocumError({ code: 'caller_unauthenticated', detail: 'Nobody is signed in, or that is over.', hint: 'locum.signIn()' })
}

async function call(connection, path = '/', init = {}) {
  const { key, gateway, direct } = inForce()
  const rest = path.replace(/^\/+/, '')
  if (init.direct) {
    const base = direct[connection]
    if (!base) throw new LocumError({ code: 'not_allowed', detail: `${connection} is not reached without the gateway.` })
    const { direct: _, ...plain } = init
    return fetch(`${base}/${rest}`, plain)
  }
  const headers = new Headers(init.headers)
  headers.set('Locum-Authorization', `Bearer ${key}`)
  const answer = await fetch(`${gateway}/c/${connection}/${rest}`, { ...init, headers, credentials: 'omit' })
  // Its own refusals, by what tells them from an upstream's (RFC 9209).
  if (/^locum;/.test(answer.headers.get('Proxy-Status') ?? '')) throw new LocumError(await answer.json())
  return answer
}

/** Has the person consent at a provider, in a pop-up. */
async function connect(provider) {
  await popUp(`/connect/${provider}?opener=${encodeURIComponent(location.origin)}`, 'locum:connected')
}

/** Of a provider, or of a connection's: what it answered, secrets masked; and its end. */
function oauth(name) {
  const ask = async (method) => {
    const { key } = inForce()
    const headers = { Authorization: `Bearer ${key}` }
    const answer = await fetch(`${home}/api/v1/oauth/${name}`, { method, headers, credentials: 'omit' })
    const value = await answer.json()
    if (!answer.ok) throw new LocumError(value)
    return value
  }
  return { getAuthResponse: () => ask('GET'), logout: () => ask('DELETE') }
}

export const locum = { signIn, signOut, use, fetch: call, connect, oauth }
