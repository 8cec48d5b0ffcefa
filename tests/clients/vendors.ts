import type { IncomingMessage, ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import type { Teardown } from '../kit/site.ts'
import { startUpstream, type Upstream } from '../kit/upstream.ts'

/** One request as a vendor reads it. Each says back the key that it was shown. */
interface Call {
  readonly route: string
  readonly query: URLSearchParams
  readonly body: string
  /** Authorization, or X-Api-Key. */
  readonly shown: string
  readonly origin: string
}

type Answer =
  | object
  | { xml: string }
  | { events: readonly (readonly [event: string | undefined, data: object | string])[] }

/** What is sent in one piece at first, the rest when the client has asked for something else meanwhile. */
const FIRST_EVENTS = 2

/**
 * Starts a vendor. Its event streams stop after the first events until `GET …/models` is asked, so that
 * a client which asks that in the middle of a stream shows that events come one by one.
 */
export async function startVendor(
  t: Teardown,
  answer: (call: Call) => Answer | undefined,
): Promise<Upstream> {
  const waiting: (() => void)[] = []
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url as string, upstream.origin)
    const body = (await buffer(request)).toString('latin1')
    const route = `${request.method} ${url.pathname}`
    const { authorization, 'x-api-key': apiKey } = request.headers
    const shown = authorization ?? String(apiKey ?? '')
    const said = answer({ route, query: url.searchParams, body, shown, origin: upstream.origin })
    if (route.endsWith('/models')) for (const go of waiting.splice(0)) go()
    if (said === undefined) {
      response
        .writeHead(404, { 'Content-Type': 'application/json' })
        .end('{"error":{"message":"no such thing"}}')
    } else if ('events' in said) {
      const lines = said.events.map(([event, data]) => {
        const line = `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
        return event === undefined ? line : `event: ${event}\n${line}`
      })
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.write(lines.slice(0, FIRST_EVENTS).join(''))
      waiting.push(() => response.end(lines.slice(FIRST_EVENTS).join('')))
    } else if ('xml' in said) {
      response.writeHead(200, { 'Content-Type': 'application/xml' }).end(said.xml)
    } else {
      const { link, ...json } = said as { link?: string; list?: object[] }
      response.setHeader('Content-Type', 'application/json')
      if (link !== undefined) response.setHeader('Link', link)
      response.end(JSON.stringify(json.list ?? json))
    }
  }
  const upstream = await startUpstream(t, {
    host: 'a.localhost',
    serve: (request, response) => {
      serve(request, response).catch((error) => response.destroy(error))
    },
  })
  return upstream
}

export function stripe({ route, query, body, shown }: Call): Answer | undefined {
  const customer = (id: string) => ({ id, object: 'customer', description: shown, metadata: {} })
  if (route === 'POST /v1/customers')
    return { ...customer('cus_new'), name: new URLSearchParams(body).get('name') }
  if (route === 'GET /v1/customers/cus_1') return customer('cus_1')
  if (route !== 'GET /v1/customers') return undefined
  const first = query.get('starting_after') === null
  const data = [customer(first ? 'cus_1' : 'cus_2')]
  return { object: 'list', url: '/v1/customers', has_more: first, data }
}

export function openai({ route, body, shown }: Call): Answer | undefined {
  if (route === 'GET /v1/models') return { object: 'list', data: [{ id: 'look-alike', object: 'model' }] }
  if (route === 'POST /v1/files') return { id: 'file-1', object: 'file', bytes: body.length }
  if (route !== 'POST /v1/chat/completions') return undefined
  if (!JSON.parse(body).stream) {
    const message = { role: 'assistant', content: `You showed ${shown}` }
    return { id: 'c-1', object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }] }
  }
  const chunk = (content: string) => ({
    id: 'c-2',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  })
  const events = ['You ', 'showed ', shown, '.'].map((content) => [undefined, chunk(content)] as const)
  return { events: [...events, [undefined, '[DONE]']] }
}

export function anthropic({ route, body, shown }: Call): Answer | undefined {
  if (route === 'GET /v1/models') return { data: [{ id: 'look-alike', type: 'model' }], has_more: false }
  if (route !== 'POST /v1/messages') return undefined
  const message = {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'look-alike',
    content: [] as object[],
    stop_reason: null,
    usage: { input_tokens: 1, output_tokens: 1 },
  }
  if (!JSON.parse(body).stream)
    return { ...message, content: [{ type: 'text', text: `You showed ${shown}` }] }
  const deltas = ['You ', 'showed ', shown, '.'].map(
    (text) =>
      [
        'content_block_delta',
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
      ] as const,
  )
  return {
    events: [
      ['message_start', { type: 'message_start', message }],
      [
        'content_block_start',
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      ],
      ...deltas,
      ['content_block_stop', { type: 'content_block_stop', index: 0 }],
      [
        'message_delta',
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 9 } },
      ],
      ['message_stop', { type: 'message_stop' }],
    ],
  }
}

export function github({ route, query, body, shown, origin }: Call): Answer | undefined {
  if (route === 'GET /user') return { login: 'ada', bio: shown }
  if (route === 'POST /repos/ada/engine/issues') return { number: 3, title: JSON.parse(body).title }
  if (route !== 'GET /repos/ada/engine/issues') return undefined
  // As GitHub does: the next page in full, by https.
  if (query.get('page') === '2') return { list: [{ number: 2 }] }
  return { list: [{ number: 1 }], link: `<${origin}/repos/ada/engine/issues?per_page=1&page=2>; rel="next"` }
}

export function s3({ route, shown }: Call): Answer | undefined {
  if (route !== 'GET /bucket') return undefined
  const entry = `<Contents><Key>report.csv</Key><Size>7</Size><ETag>"${shown}"</ETag></Contents>`
  return {
    xml: `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>${entry}</ListBucketResult>`,
  }
}
