import type { Answer } from './asked.ts'

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Markup, whose values were escaped. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Markup in which every value is text, unless it is markup itself; a list stands one after the other. */
export function html(literals: TemplateStringsArray, ...values: readonly unknown[]): Html {
  let text = literals[0] as string
  values.forEach((value, i) => {
    text += markupOf(value) + (literals[i + 1] as string)
  })
  return new Html(text)
}

function markupOf(value: unknown): string {
  if (value === undefined || value === null || value === false) return ''
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(markupOf).join('')
  return String(value).replace(/[&<>"']/g, (character) => ENTITIES[character] as string)
}

/**
 * A page of the console. Nothing of it is a script but `/console/page.js`, which does what `data` says: `go` to an
 * address, `send` the fragment of this one, or `tell` the page that opened this one, of exactly the origin `to`.
 */
export function page(
  title: string,
  body: Html,
  x: { status?: number; data?: Readonly<Record<string, string>>; cookies?: readonly string[] } = {},
): Answer {
  const data = Object.entries(x.data ?? {}).map(([name, value]) => html` data-${new Html(name)}="${value}"`)
  const whole = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title} · Locum</title>
<link rel="stylesheet" href="/console/page.css">
<script src="/console/page.js" defer></script>
</head>
<body${data}>
<main>
<h1>${title}</h1>
${body}
</main>
</body>
</html>
`
  return {
    status: x.status ?? 200,
    type: 'text/html; charset=utf-8',
    body: whole.text,
    headers: {
      // With none at all a browser says of a form that it comes from nowhere (Fetch §4.6).
      'Referrer-Policy': 'same-origin',
      'Content-Security-Policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      ...(x.cookies && x.cookies.length > 0 ? { 'Set-Cookie': x.cookies } : {}),
    },
  }
}
