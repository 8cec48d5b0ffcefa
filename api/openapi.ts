import Type, { type TSchema } from 'typebox'
import type { JsonObject } from '../core/secret.ts'
import { plain } from '../operations/json-schema.ts'
import { ProblemAnswer } from './answers.ts'
import { namedIn, ROOT, ROUTES, type Route } from './routes.ts'

/** What it takes but its operation's input. */
const HEADERS = {
  'If-Match': 'The tag that it had when it was read: where it has another now, nothing is done.',
  'Idempotency-Key':
    'With the same key and the same body within a day it is done once, and answered the same each time.',
} as const

const PAGE = {
  limit: Type.Integer({ minimum: 1, maximum: 500, default: 100 }),
  cursor: Type.String({ description: 'What the page before said in `next`.' }),
}

/** A schema of an answer as it goes over HTTP; undefined: it has no body. */
export function answerSchema({ answer, keyOf }: Pick<Route, 'answer' | 'keyOf'>): JsonObject | undefined {
  if (!answer) return undefined
  const many = (answer as { type?: string }).type === 'array'
  const next = {
    type: 'string',
    description: 'Where the next page is; left out on the last one.',
  }
  const notes = {
    type: 'array',
    items: { type: 'string' },
    description: 'What one should know although it was done.',
  }
  const schema = plain(answer)
  if (!many) return { ...schema, properties: { ...(schema.properties as JsonObject | undefined), notes } }
  return {
    type: 'object',
    required: ['items'],
    properties: { items: schema, ...(keyOf ? { next } : {}), notes },
    additionalProperties: false,
  }
}

/** The status of an answer that is none of a refusal. */
export function statusOf({ answer, makes }: Pick<Route, 'answer' | 'makes'>): 200 | 201 | 204 {
  if (!answer) return 204
  return makes === undefined ? 200 : 201
}

/** Which of a route's headers mean something there. */
export function takesKey({ method, operation }: Pick<Route, 'method' | 'operation'>): boolean {
  return method === 'POST' && operation.subject !== undefined
}

/** OpenAPI 3.1, made of the table. */
export function openApi(version: string): JsonObject {
  const paths: Record<string, JsonObject> = {}
  for (const route of ROUTES) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Locum',
      version,
      summary: 'What administers a Locum.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: ROOT }],
    security: [{ key: [] }, { session: [] }],
    paths,
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'A proxy key: lcm_…' },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: '__Host-locum-SITE',
          description: 'Whoever is signed in at the console; a write then names its own Origin.',
        },
      },
      schemas: { Problem: plain(ProblemAnswer) },
      responses: {
        Problem: {
          description: 'Why it was not done (RFC 9457).',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  }
}

function operationOf(route: Route): JsonObject {
  const { operation, method, path, keyOf, shows } = route
  const input = plain(operation.input)
  const properties = (input.properties ?? {}) as Record<string, JsonObject>
  const required = (input.required ?? []) as readonly string[]
  const named = namedIn(path)
  const rest = Object.keys(properties).filter((name) => !named.includes(name))
  const inQuery = method === 'GET' || method === 'DELETE'
  const parameter = (name: string, where: string, schema: JsonObject, needed: boolean) => ({
    ...{ name, in: where, required: needed, schema },
  })
  const headers = [...(shows ? ['If-Match'] : []), ...(takesKey(route) ? ['Idempotency-Key'] : [])] as const
  const schema = answerSchema(route)
  return {
    operationId: operation.name,
    summary: operation.summary,
    description: `For ${operation.who.says}.`,
    parameters: [
      ...named.map((name) => parameter(name, 'path', properties[name] as JsonObject, true)),
      ...(inQuery
        ? rest.map((name) =>
            parameter(name, 'query', properties[name] as JsonObject, required.includes(name)),
          )
        : []),
      ...(keyOf
        ? Object.entries(PAGE).map(([name, page]) =>
            parameter(name, 'query', plain(page as unknown as TSchema), false),
          )
        : []),
      ...headers.map((name) => ({
        ...parameter(name, 'header', { type: 'string' }, false),
        description: HEADERS[name as keyof typeof HEADERS],
      })),
    ],
    ...(inQuery || rest.length === 0
      ? {}
      : {
          requestBody: {
            required: rest.some((name) => required.includes(name)),
            content: {
              'application/json': {
                schema: {
                  type: 'object',
                  required: required.filter((name) => rest.includes(name)),
                  properties: Object.fromEntries(rest.map((name) => [name, properties[name] as JsonObject])),
                  additionalProperties: false,
                },
              },
            },
          },
        }),
    responses: {
      [statusOf(route)]: {
        description: schema ? 'Done.' : 'Done; there is nothing to say.',
        ...(schema ? { content: { 'application/json': { schema } } } : {}),
      },
      default: { $ref: '#/components/responses/Problem' },
    },
  }
}
