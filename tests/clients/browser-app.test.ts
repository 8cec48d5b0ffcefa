import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import * as http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import t from 'tap'
import { NO_CHROMIUM, openChromium } from '../kit/chromium.ts'
import { startIdp } from '../kit/idp.ts'
import { BY_CODE } from '../kit/oauth-lab.ts'
import { startSite, type Teardown } from '../kit/site.ts'
import { startUpstream, upstreamLeaf } from '../kit/upstream.ts'

t.test('an app in Chromium', { skip: NO_CHROMIUM }, async (t) => {
  const idp = await startIdp(t)
  const upstream = await startUpstream(t)
  const open = await startUpstream(t)
  const pages = await startApp(t)
  const app = `http://app.localhost:${pages.port}`
  let now = Date.now()
  const connection = { allowPrivateNetwork: true, ca: upstream.ca, cors: { origins: [app] } }
  const site = await startSite(
    t,
    {
      principals: [{ id: 'ada', kind: 'user' }],
      providers: [
        {
          name: 'idp',
          method: 'oauth2',
          issuer: idp.issuer,
          ca: idp.ca,
          allowPrivateNetwork: true,
          ...BY_CODE,
        },
      ],
      connections: [
        {
          name: 'api',
          destinations: [upstream.origin],
          auth: { method: 'oauth2', provider: 'idp' },
          source: 'per-user',
          ...connection,
        },
        { name: 'open', destinations: [open.origin], auth: { method: 'none' }, ...connection },
      ],
    },
    { clock: { now: () => now } },
  )
  idp.sendBackTo(site.consoleUrl)
  pages.console = site.consoleUrl
  const { cert } = await upstreamLeaf()
  const spki = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' })
  // The provider's certificate is of a CA that this browser does not know.
  const browser = await openChromium(t, createHash('sha256').update(spki).digest('base64'))
  const context = await browser.newContext()
  const sent: string[] = []
  const read: Promise<string>[] = []
  context.on('request', (request) => sent.push(`${request.url()} ${JSON.stringify(request.headers())}`))
  context.on('response', (response) => {
    if (new URL(response.url()).origin !== idp.issuer) read.push(response.text().catch(() => ''))
  })
  const page = await context.newPage()
  await page.goto(app)
  /** Clicks, and does in the pop-up what a person does there. */
  const inPopUp = async (button: string, work: (popUp: Page) => Promise<void>): Promise<void> => {
    const [popUp] = await Promise.all([page.waitForEvent('popup'), page.click(button)])
    await work(popUp)
    if (!popUp.isClosed()) await popUp.waitForEvent('close')
  }
  const said = async (what: RegExp): Promise<void> => {
    await page.waitForFunction(
      new Function('text', "return new RegExp(text).test(document.querySelector('#said').textContent)") as (
        text: string,
      ) => boolean,
      what.source,
    )
  }

  await page.click('#call')
  await said(/^caller_unauthenticated$/)
  await inPopUp('#sign-in', async (popUp) => {
    await popUp.fill('input[name=id]', 'ada')
    await popUp.fill('input[name=key]', site.keys.ada as string)
    await popUp.click('#sign-in')
    await popUp.click('#allow')
  })
  await said(/^signed in as ada$/)
  await page.click('#call')
  await said(/^credential_missing .*\/connect\/idp$/)
  await inPopUp('#connect', async (popUp) => {
    await popUp.click('#connect')
    await popUp.click('#yes')
  })
  await said(/^connected$/)
  await site.settle()
  await page.click('#call')
  await said(/^200$/)
  const [first] = upstream.requests
  t.equal(first?.headers.authorization, `Bearer ${idp.tokens[0]}`)

  t.test('the call goes on past the token’s end', async (t) => {
    now += 3_700_000
    await site.settle()
    await inPopUp('#sign-in', async (popUp) => {
      await popUp.click('#allow')
    })
    await said(/^signed in as ada$/)
    await page.click('#call')
    await said(/^200$/)
    const last = upstream.requests.at(-1)?.headers.authorization
    t.not(last, first?.headers.authorization)
    t.ok(idp.tokens.includes(last?.slice('Bearer '.length) ?? ''))
  })

  t.test('what came back is shown without its secrets, and what needs no gateway goes direct', async (t) => {
    await page.click('#show')
    await said(/"access_token":"\[\d+ characters\]"/)
    await page.click('#direct')
    await said(/^TypeError|^200$/)
    t.equal(open.requests.length, 1, 'the browser asked the upstream itself')
  })

  t.test('no token of the provider, and no secret of its client, was ever in the browser', async (t) => {
    const seen = [...sent, ...(await Promise.all(read)), await page.content()].join('\n')
    t.match(seen, /Locum-Authorization|locum-authorization/)
    for (const secret of [...idp.tokens, String(BY_CODE.clientSecret)]) t.notOk(seen.includes(secret))
  })

  t.test('logout ends it, at the provider too', async (t) => {
    await page.click('#logout')
    await said(/"ended":true,"revoked":true/)
    await site.settle()
    await page.click('#call')
    await said(/^credential_missing/)
    t.equal(await idp.provider.RefreshToken.find(idp.tokens.at(-1) ?? ''), undefined)
  })
})

const APP = (home: string) => `<!doctype html><title>An app</title>
<button id="sign-in">Sign in</button> <button id="call">Call</button> <button id="connect">Connect</button>
<button id="show">Show</button> <button id="direct">Direct</button> <button id="logout">Log out</button>
<output id="said"></output>
<script type="module">
import { locum } from '${home}/locum.js'
const doing = {
  'sign-in': async () => 'signed in as ' + (await locum.signIn()).user,
  call: async () => (await locum.fetch('api', '/echo')).status,
  connect: async () => (await locum.connect('idp'), 'connected'),
  show: async () => JSON.stringify(await locum.oauth('api').getAuthResponse()),
  direct: async () => (await locum.fetch('open', '/echo', { direct: true })).status,
  logout: async () => JSON.stringify(await locum.oauth('idp').logout()),
}
for (const [id, work] of Object.entries(doing))
  document.getElementById(id).onclick = () => {
    said.textContent = '…'
    work().then(
      (text) => { said.textContent = text },
      (error) => { said.textContent = [error.code ?? String(error), error.authorizeUrl].filter(Boolean).join(' ') },
    )
  }
</script>`

/** Serves the app, which loads Locum's library from the console. */
async function startApp(t: Teardown): Promise<{ port: number; console: string }> {
  const app = { port: 0, console: '' }
  const server = http.createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end(APP(app.console))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  app.port = (server.address() as AddressInfo).port
  return app
}
