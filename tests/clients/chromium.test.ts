import { createHash, type X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import * as http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Page } from 'playwright-core'
import t from 'tap'
import { NO_CHROMIUM, openChromium } from '../kit/chromium.ts'
import { connectionTo, MASKED, REAL, SECRET } from '../kit/echo-site.ts'
import { openTunnel } from '../kit/raw.ts'
import { startSite, type Teardown, type TestSite } from '../kit/site.ts'
import { startUpstream } from '../kit/upstream.ts'

t.test('Chromium', { skip: NO_CHROMIUM }, async (t) => {
  const pages = await startPages(t)
  const upstream = await startUpstream(t, { host: 'a.localhost' })
  const app = `http://app.localhost:${pages}`
  const config = {
    principals: [{ id: 'ada', kind: 'user' }],
    connections: [
      connectionTo(upstream, {
        headers: { Authorization: 'Bearer {{$Auth.API_Key}}' },
        cors: { origins: [app] },
      }),
    ],
    credentials: [{ connection: 'echo', for: 'shared', fields: { apiKey: SECRET } }],
  }
  const [site, stranger] = await Promise.all([startSite(t, config), startSite(t, config)])
  // Of all sites' leaves it trusts this one's alone.
  const browser = await openChromium(t, await leafKeyOf(t, site, upstream.authority))

  t.test('a page of a listed origin uses the gateway, and reads what is refused', async (t) => {
    const page = await browser.newPage()
    await page.goto(app)
    const url = `http://127.0.0.1:${site.port}/c/echo/page`
    const got = await fetchIn(page, url, site.keys.ada as string)
    t.match(got, { status: 200, echo: MASKED })
    t.equal(JSON.parse(got.body ?? '').headers.authorization, MASKED)
    const [seen] = upstream.requests
    t.match(seen, { method: 'GET', url: '/page', headers: { authorization: REAL } })
    t.notMatch(Object.keys(seen?.headers ?? {}).join(), /origin|referer|cookie|sec-fetch|locum/)
    t.match(await fetchIn(page, url, `${site.keys.ada}x`), {
      status: 401,
      body: /"code":"caller_unauthenticated"/,
      said: 'locum; error=http_request_denied; details="caller_unauthenticated"',
    })
    t.match(await fetchIn(page, url.replace('/c/echo/', '/c/nothing/'), site.keys.ada as string), {
      error: 'TypeError: Failed to fetch',
    })
    t.equal(upstream.requests.length, 1, 'what was refused has not left')
    await page.close()
  })

  t.test('a page of another origin gets nothing, key or not', async (t) => {
    const seen = upstream.requests.length
    const page = await browser.newPage()
    await page.goto(`http://other.localhost:${pages}`)
    t.same(await fetchIn(page, `http://127.0.0.1:${site.port}/c/echo/page`, site.keys.ada as string), {
      error: 'TypeError: Failed to fetch',
    })
    t.equal(upstream.requests.length, seen)
    await page.close()
  })

  /** What it shows at `url` with a site as its proxy: a page's text, or its error. */
  const visit = async ({ port }: TestSite, key: string, url: string): Promise<string> => {
    const proxy = { server: `http://127.0.0.1:${port}`, username: 'ada', password: key }
    const context = await browser.newContext({ proxy })
    const page = await context.newPage()
    try {
      await page.goto(url)
      return (await page.textContent('body')) ?? ''
    } catch (error) {
      return String(error)
    } finally {
      await context.close()
    }
  }

  t.test('with the site as its proxy it is shown what the secret opens, by https and http', async (t) => {
    for (const url of [`${upstream.origin}/secure`, `http://${upstream.authority}/plain`]) {
      const text = await visit(site, site.keys.ada as string, url)
      t.equal(JSON.parse(text).headers.authorization, MASKED, url)
      const seen = upstream.requests.find((request) => request.url === new URL(url).pathname)
      t.equal(seen?.headers.authorization, REAL, `${url}: the upstream got the real value`)
    }
  })

  t.test('it says what is wrong with a key, a destination or a CA', async (t) => {
    const seen = upstream.requests.length
    const secure = `${upstream.origin}/wrong`
    const wrong = `${site.keys.ada}x`
    t.match(
      await visit(site, wrong, secure),
      /ERR_HTTP_RESPONSE_CODE_FAILURE/,
      'that a proxy refused, and no more',
    )
    t.match(await visit(site, wrong, `http://${upstream.authority}/wrong`), /caller_unauthenticated/)
    const elsewhere = `https://b.localhost:${upstream.port}/`
    t.match(await visit(site, site.keys.ada as string, elsewhere), /ERR_TUNNEL_CONNECTION_FAILED/)
    t.match(await visit(stranger, stranger.keys.ada as string, secure), /ERR_CERT_AUTHORITY_INVALID/)
    t.equal(upstream.requests.length, seen, 'nothing left')
  })

  t.test('the audit names who asked', async (t) => {
    const uses = (await site.audit()).filter(({ event }) => event === 'use')
    t.equal(uses.length, upstream.requests.length)
    t.ok(uses.every(({ caller }) => caller === 'ada'))
    t.strictSame(await site.verify(), [])
  })
})

/** What a page gets that fetches with a key. */
function fetchIn(
  page: Page,
  url: string,
  key: string,
): Promise<{ status?: number; body?: string; echo?: string | null; said?: string | null; error?: string }> {
  return page.evaluate(
    async ([url, key]) => {
      try {
        const response = await fetch(url, { headers: { 'Locum-Authorization': `Bearer ${key}` } })
        const { status, headers } = response
        return {
          status,
          body: await response.text(),
          echo: headers.get('x-echo'),
          said: headers.get('proxy-status'),
        }
      } catch (error) {
        return { error: String(error) }
      }
    },
    [url, key] as const,
  )
}

/** SHA-256 of the public key that a site's leaves have, base64. */
async function leafKeyOf(t: Teardown, site: TestSite, authority: string): Promise<string> {
  const { socket } = await openTunnel(t, site, authority)
  const leaf = (socket as TLSSocket).getPeerX509Certificate() as X509Certificate
  const spki = leaf.publicKey.export({ type: 'spki', format: 'der' })
  socket.destroy()
  return createHash('sha256').update(spki).digest('base64')
}

/** Serves the same empty page to every host name. */
async function startPages(t: Teardown): Promise<number> {
  const server = http.createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>An app</title>')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
