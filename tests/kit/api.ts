import { request } from 'node:http'
import type { TestSite } from './site.ts'

export interface Told {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: each test looks for its own shape
  readonly json: any
}

export interface AskOptions {
  /** Whose key goes along; '' for nobody's. */
  readonly as?: string
  readonly key?: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Asks the API of a site over HTTP. */
export type Ask = (method: string, path: string, options?: AskOptions) => Promise<Told>

/** As the principal `admin` unless told. */
export function makeAsk({ consoleUrl, keys }: Pick<TestSite, 'consoleUrl' | 'keys'>): Ask {
  return (method, path, { as = 'admin', key = keys[as], body, headers = {} } = {}) =>
    new Promise((resolve, reject) => {
      const url = new URL(consoleUrl)
      const given = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
      const fields = {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(given === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      }
      const at = { host: url.hostname, port: url.port, path: `/api/v1${path}`, agent: false, method }
      const sending = request({ ...at, headers: fields }, (answer) => {
        const pieces: Buffer[] = []
        answer.on('data', (piece) => pieces.push(piece))
        answer.on('end', () => {
          const text = Buffer.concat(pieces).toString()
          const { statusCode: status = 0, headers } = answer
          resolve({ status, headers, text, json: text === '' ? undefined : JSON.parse(text) })
        })
        answer.on('error', reject)
      })
      sending.on('error', reject)
      sending.end(given)
    })
}
