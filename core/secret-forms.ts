/** Shorter secrets, and shorter forms, are not searched: they would be found by chance. Bytes. */
export const SHORTEST_SECRET = 8

/** What is left as it is when text is percent-encoded; everybody draws the line elsewhere. */
const KEPT: readonly RegExp[] = [
  // encodeURIComponent
  /[A-Za-z0-9\-_.!~*'()]/,
  // RFC 3986 §2.3: Go, Ruby, Python's quote with nothing safe
  /[A-Za-z0-9\-_.~]/,
  // Python's quote
  /[A-Za-z0-9\-_.~/]/,
  // application/x-www-form-urlencoded: browsers, Java
  /[A-Za-z0-9\-_.*]/,
  // PHP's urlencode
  /[A-Za-z0-9\-_.]/,
  // RFC 3986 §3.4: a query
  /[A-Za-z0-9\-_.~!$&'()*+,;=:@/?]/,
  // URL Standard §1.3: a query, then a path
  /[!$-&(-;=?-~]/,
  /[!$-;=@-[\]_a-z|~]/,
]
/** Text that everybody leaves as it is in an URL, in JSON and in HTML. */
const PLAIN = /^[A-Za-z0-9_.-]*$/

/** What JSON writers escape as `\u` and four hex digits beside what they must. */
const ESCAPED: readonly RegExp[] = [
  // JSON.stringify, Python
  /(?!)/,
  // Go, Ruby on Rails
  /[<>&\u2028\u2029]/,
  // PHP's JSON_HEX_*
  /[<>&'"]/,
  // Gson
  /[<>&='\u2028\u2029]/,
  // System.Text.Json
  /[<>&'"+`\u007f]/,
]
/** How writers of HTML and XML escape what they do beside `&`, `<` and `>`. */
const ENTITIES_BESIDE: readonly Readonly<Record<string, string>>[] = [
  // Text, by the DOM and libxml2
  {},
  // PHP without ENT_QUOTES, libxml2's attributes
  { '"': '&quot;' },
  // Rails, lodash, Spring, Apache httpd; PHP until 8.1; XML's own name
  { '"': '&quot;', "'": '&#39;' },
  { '"': '&quot;', "'": '&#039;' },
  { '"': '&quot;', "'": '&apos;' },
  // Python, Django
  { '"': '&quot;', "'": '&#x27;' },
  // Go's encoding/xml and html, Jinja
  { '"': '&#34;', "'": '&#39;' },
  // Go's templates
  { '"': '&#34;', "'": '&#39;', '+': '&#43;' },
  // ASP.NET
  { '"': '&quot;', "'": '&#x27;', '+': '&#x2B;' },
  // OWASP; Mustache, Handlebars
  { '"': '&quot;', "'": '&#x27;', '/': '&#x2F;' },
  { '"': '&quot;', "'": '&#39;', '/': '&#x2F;', '`': '&#x60;', '=': '&#x3D;' },
  { '"': '&quot;', "'": '&#x27;', '`': '&#x60;', '=': '&#x3D;' },
]
/** How base64's characters that are not plain are written: as they are, in percent, in JSON, in HTML. */
const BASE64_WRITTEN: readonly (readonly [plus: string, slash: string])[] = [
  ['+', '/'],
  ['%2B', '%2F'],
  ['%2b', '%2f'],
  ['%2B', '/'],
  ['%2b', '/'],
  ['+', '%2F'],
  ['+', '%2f'],
  ['+', '\\/'],
  ['\\u002B', '/'],
  ['\\u002b', '/'],
  ['&#43;', '/'],
  ['&#x2B;', '/'],
  ['+', '&#x2F;'],
]
const JSON_ESCAPE = (code: number) => `\\u${code.toString(16).padStart(4, '0')}`
/** Writers that take no chances: each character escaped, in JSON and JavaScript, Python and C, HTML and XML. */
const EVERY: readonly ((code: number) => string)[] = [
  JSON_ESCAPE,
  (code) => `\\u${code.toString(16).toUpperCase().padStart(4, '0')}`,
  (code) => `\\x${code.toString(16).padStart(2, '0')}`,
  (code) => `\\x${code.toString(16).toUpperCase().padStart(2, '0')}`,
  (code) => `&#${code};`,
  (code) => `&#x${code.toString(16)};`,
  (code) => `&#x${code.toString(16).toUpperCase()};`,
]
const BEYOND_ASCII = /[\u0080-\uffff]/

/**
 * Every form in which a secret is searched for: as it stands, in UTF-16 too, base64 and base64url at each
 * of the three offsets, hex, percent-encoding, JSON escapes, entities of HTML, and every character escaped.
 * Each at least 8 bytes long; none where the secret is shorter.
 */
export function formsOf(secret: string): Buffer[] {
  const raw = Buffer.from(secret, 'utf8')
  if (raw.length < SHORTEST_SECRET) return []
  const forms = textForms(secret, raw)
  for (const wide of utf16Of(secret)) forms.add(wide.toString('latin1'))
  return buffersOf(forms)
}

/** Every form as text in UTF-16 has it, in either order of bytes. */
export function wideFormsOf(secret: string): Buffer[] {
  const raw = Buffer.from(secret, 'utf8')
  if (raw.length < SHORTEST_SECRET) return []
  return buffersOf(textForms(secret, raw)).flatMap((form) => utf16Of(form.toString('utf8')))
}

/** As latin1. */
function textForms(secret: string, raw: Buffer): Set<string> {
  const forms = new Set<string>()
  addForms(forms, secret, raw)
  // Many programs read the bytes of a head as Latin-1, and write what they read as UTF-8.
  const misread = raw.toString('latin1')
  if (misread !== secret) addForms(forms, misread, Buffer.from(misread, 'utf8'))
  return forms
}

function buffersOf(forms: Set<string>): Buffer[] {
  return [...forms]
    .filter((form) => form.length >= SHORTEST_SECRET)
    .map((form) => Buffer.from(form, 'latin1'))
}

function utf16Of(text: string): Buffer[] {
  const little = Buffer.from(text, 'utf16le')
  return [trimmed(little), trimmed(Buffer.from(little).swap16())]
}

/** Without the zeros at its ends: of ASCII both orders are then one, and a message that ends in one does not wait. */
function trimmed(bytes: Buffer): Buffer {
  let [from, to] = [0, bytes.length]
  while (bytes[from] === 0) from++
  while (bytes[to - 1] === 0) to--
  return bytes.subarray(from, to)
}

/** Adds the forms of a text, `raw` in UTF-8, as latin1. */
function addForms(forms: Set<string>, text: string, raw: Buffer): void {
  forms.add(raw.toString('latin1'))
  for (let offset = 0; offset < 3; offset++) {
    const coded = base64Core(raw, offset)
    forms.add(coded)
    for (const [plus, slash] of BASE64_WRITTEN) forms.add(coded.replaceAll('-', plus).replaceAll('_', slash))
  }
  const hex = raw.toString('hex')
  const everyByte = hex.replace(/../g, '%$&')
  for (const one of [hex, everyByte]) forms.add(one).add(one.toUpperCase())
  for (const write of EVERY) forms.add(escapedText(text, write))
  if (PLAIN.test(text)) return
  for (const kept of KEPT) {
    const coded = percentText(raw, kept)
    const lower = coded.replace(/%../g, (code) => code.toLowerCase())
    for (const one of [coded, lower]) {
      // Once more where an address stands in another's query: `/login?next=…`.
      forms.add(one).add(one.replaceAll('%', '%25'))
      const form = one.replaceAll('%20', '+')
      forms.add(form).add(form.replaceAll('%', '%25').replaceAll('+', '%2B'))
    }
  }
  for (const one of [...jsonTexts(text), ...entityTexts(text)])
    forms.add(Buffer.from(one, 'utf8').toString('latin1'))
}

/** The base64url characters that these bytes alone decide, `offset` bytes behind a multiple of three. */
function base64Core(raw: Buffer, offset: number): string {
  const padded = Buffer.concat([Buffer.alloc(offset), raw])
  const from = Math.ceil((offset * 8) / 6)
  const to = Math.floor((padded.length * 8) / 6)
  return padded.toString('base64url').slice(from, to)
}

function percentText(raw: Buffer, kept: RegExp): string {
  let text = ''
  for (const byte of raw) {
    const char = String.fromCharCode(byte)
    text += kept.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

/** Each UTF-16 unit escaped. */
function escapedText(text: string, write: (code: number) => string): string {
  let escaped = ''
  for (let i = 0; i < text.length; i++) escaped += write(text.charCodeAt(i))
  return escaped
}

function entityTexts(text: string): string[] {
  const safe = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return ENTITIES_BESIDE.map((entities) => safe.replace(/["'`+/=]/g, (char) => entities[char] ?? char))
}

function jsonTexts(text: string): Set<string> {
  const texts = new Set<string>()
  for (const escaped of ESCAPED) {
    for (const ascii of [false, true]) {
      const coded = jsonText(text, (char) => escaped.test(char) || (ascii && BEYOND_ASCII.test(char)))
      for (const one of [coded, coded.replaceAll('/', '\\/')]) {
        texts.add(one).add(one.replace(/\\u[0-9a-f]{4}/g, (code) => `\\u${code.slice(2).toUpperCase()}`))
      }
    }
  }
  return texts
}

function jsonText(text: string, escapes: (char: string) => boolean): string {
  let coded = ''
  for (const char of text)
    coded += escapes(char) ? escapedText(char, JSON_ESCAPE) : JSON.stringify(char).slice(1, -1)
  return coded
}
