import { request } from 'node:http'
import type { Idp } from './idp.ts'
import type { TestSite } from './site.ts'

export interface Shown {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
  /** What the page's script does: `go`, `send`, `tell`, `to`. */
  readonly data: Readonly<Record<string, string>>
}

/** Somebody's browser at the console: it keeps cookies and sends forms. */
export interface Person {
  readonly cookies: Map<string, string>
  get(path: string): Promise<Shown>
  post(
    path: string,
    form: Readonly<Record<string, string>>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Shown>
  signIn(id: string): Promise<Shown>
  /** The whole way: to the provider, and back with what it says. */
  connect(
    provider: string,
    idp: Idp,
    x?: { as?: string; refuse?: boolean; form?: Record<string, string> },
  ): Promise<Shown>
}

export function makePerson({ consoleUrl, keys }: Pick<TestSite, 'consoleUrl' | 'keys'>): Person {
  const cookies = new Map<string, string>()
  const ask = (method: string, path: string, body = '', headers: Readonly<Record<string, string>> = {}) =>
    new Promise<Shown>((resolve, reject) => {
      const sending = request(new URL(path, consoleUrl), { method, agent: false }, (answer) => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (piece) => {
          text += piece
        })
        answer.on('end', () => {
          for (const line of answer.headers['set-cookie'] ?? []) {
            const [pair = ''] = line.split(';')
            const at = pair.indexOf('=')
            if (/Max-Age=0/.test(line)) cookies.delete(pair.slice(0, at))
            else cookies.set(pair.slice(0, at), pair.slice(at + 1))
          }
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text, data: dataOf(text) })
        })
      })
      sending.on('error', reject)
      if (cookies.size > 0)
        sending.setHeader('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '))
      for (const [name, value] of Object.entries(headers)) sending.setHeader(name, value)
      sending.end(body)
    })
  const person: Person = {
    cookies,
    get: (path) => ask('GET', path),
    post: (path, form, headers = {}) =>
      ask('POST', path, new URLSearchParams(form).toString(), {
        'content-type': 'application/x-www-form-urlencoded',
        origin: consoleUrl,
        ...headers,
      }),
    signIn: (id) => person.post('/sign-in', { id, key: keys[id] ?? '', next: '/sign-in' }),
    async connect(provider, idp, { form = {}, ...x } = {}) {
      const { data, ...answer } = await person.post(`/connect/${provider}`, form)
      if (data.go === undefined) return { ...answer, data }
      const back = new URL(await idp.browse(data.go, x))
      return person.get(back.pathname + back.search)
    },
  }
  return person
}

function dataOf(text: string): Record<string, string> {
  const [body = ''] = /<body[^>]*>/.exec(text) ?? []
  const found = [...body.matchAll(/ data-([a-z]+)="([^"]*)"/g)]
  return Object.fromEntries(found.map(([, name, value]) => [name as string, unescaped(value as string)]))
}

function unescaped(text: string): string {
  return text
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}
