import { redeemLink, showLink } from '../operations/links.ts'
import { runOperation } from '../operations/operation.ts'
import { type Answer, type Asked, demandOwnOrigin, formOf } from './asked.ts'
import { html, page } from './html.ts'
import type { ConsolePages } from './pages.ts'

/** `GET /key?ticket=…`: says for whom the link is. What only looks at links, as mail programs do, uses up none. */
export async function showKeyLink({ opening }: ConsolePages, asked: Asked): Promise<Answer> {
  const ticket = asked.url.searchParams.get('ticket') ?? ''
  const { id } = await runOperation(opening, showLink, { ticket })
  return page(
    'Your key',
    html`<p>This link shows the proxy key of <strong>${id}</strong>, once.</p>
<form method="post" action="/key">
<input type="hidden" name="ticket" value="${ticket}">
<button id="show">Show it</button>
</form>`,
  )
}

/** `POST /key`: gives the key, which is kept nowhere else. */
export async function fetchKey({ opening }: ConsolePages, asked: Asked): Promise<Answer> {
  demandOwnOrigin(asked)
  const ticket = formOf(asked).get('ticket') ?? ''
  const { id, key } = await runOperation(opening, redeemLink, { ticket })
  return page(
    'Your key',
    html`<p>The proxy key of <strong>${id}</strong>. Keep it now: nobody can show it again.</p>
<p><code id="key">${key}</code></p>`,
  )
}
