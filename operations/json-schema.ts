import type { TSchema } from 'typebox'
import type { AuthMethods } from '../core/auth-method.ts'
import type { JsonObject } from '../core/secret.ts'
import { FileSchema } from './file-schema.ts'
import { SecretSource } from './secret-schema.ts'

/** A JSON Schema, or a part of one. */
export type SchemaNode = JsonObject

/**
 * The file's schema as editors and other validators read it: JSON Schema draft 7, which all of them
 * know. It takes whatever the file's own reader takes. What one value says about another, and what a
 * destination or a template is, `locum check` alone tells.
 */
export function fileJsonSchema(methods: AuthMethods): SchemaNode {
  const root = plain(FileSchema) as { properties: Record<string, { items: SchemaNode }> }
  const connections = root.properties.connections as { items: SchemaNode }
  connections.items = withMethods(connections.items, methods)
  const providers = root.properties.providers as { items: SchemaNode }
  providers.items = withProviders(providers.items, methods)
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Locum configuration',
    description: 'What a Locum serves: who may call, what they may reach, and with which credentials.',
    ...root,
  }
}

/** Plain JSON Schema: what is ours alone goes, or becomes what editors show. */
export function plain(schema: TSchema): SchemaNode {
  return rewrite(JSON.parse(JSON.stringify(schema)) as SchemaNode)
}

function rewrite(node: SchemaNode): SchemaNode {
  const { expected, patternProperties, ...rest } = node
  const out: Record<string, unknown> = rest
  // Says in our own words what a pattern wants; editors show it, and validators pass over it.
  if (node.pattern !== undefined && expected !== undefined) out.patternErrorMessage = `Expected ${expected}`
  // A record of ours takes any name.
  if (patternProperties) out.additionalProperties = Object.values(patternProperties)[0]
  for (const key of ['items', 'additionalProperties'] as const) {
    const below = out[key]
    if (isNode(below)) out[key] = rewrite(below)
  }
  if (isNode(rest.properties)) {
    out.properties = Object.fromEntries(
      Object.entries(rest.properties).map(([name, below]) => [name, rewrite(below as SchemaNode)]),
    )
  }
  if (Array.isArray(rest.anyOf)) out.anyOf = rest.anyOf.map((branch) => rewrite(branch as SchemaNode))
  return out as SchemaNode
}

function isNode(value: unknown): value is SchemaNode {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/** A provider of one of the methods, each with its own keys. */
function withProviders(provider: SchemaNode, methods: AuthMethods): SchemaNode {
  const { name, method } = provider.properties as Record<string, SchemaNode>
  // Read from elsewhere or, not so well, the text itself.
  const { anyOf } = plain(SecretSource) as { anyOf: readonly SchemaNode[] }
  const secret = { anyOf: [...anyOf, { type: 'string' }] }
  const branches = [...methods.values()].flatMap(({ id, title, provider: rules }) => {
    if (!rules) return []
    const secrets = Object.entries(rules.fields).map(
      ([key, field]) => [key, { ...secret, description: `${field.title}. Sealed.` }] as const,
    )
    const required = Object.keys(rules.fields).filter((key) => rules.fields[key]?.required)
    const sealed = {
      type: 'object',
      required,
      properties: Object.fromEntries(secrets),
      additionalProperties: false,
    }
    const within = rules.fieldsWithin
    return [
      {
        type: 'object',
        title: id,
        required: [
          'name',
          'method',
          ...(within === undefined ? required : required.length > 0 ? [within] : []),
        ],
        properties: {
          name: name as SchemaNode,
          method: { ...method, const: id, description: `${title}. ${method?.description}` },
          ...rules.configSchema,
          ...(within === undefined
            ? Object.fromEntries(secrets)
            : { [within]: { ...sealed, description: 'Its secrets, sealed.' } }),
        },
        additionalProperties: false,
      },
    ]
  })
  return { description: provider.description ?? '', anyOf: branches }
}

/** A connection whose `auth` is one of the methods, each with its own keys. */
function withMethods(connection: SchemaNode, methods: AuthMethods): SchemaNode {
  const properties = connection.properties as Record<string, SchemaNode>
  const auth = properties.auth as SchemaNode
  const { method } = auth.properties as Record<string, SchemaNode>
  const branches = [...methods.values()].map(({ id, title, configKeys, configSchema, provider }) => ({
    type: 'object',
    title: id,
    required: ['method', ...(provider?.required ? ['provider'] : [])],
    properties: {
      method: { ...method, const: id, description: `${title}. ${method?.description}` },
      ...(provider ? { provider: { type: 'string', description: 'The provider: its name.' } } : {}),
      ...Object.fromEntries(configKeys.map((key) => [key, configSchema?.[key] ?? {}])),
    },
    additionalProperties: false,
  }))
  return {
    ...connection,
    properties: { ...properties, auth: { description: auth.description ?? '', anyOf: branches } },
    // As the reader has it: whose user name and password serve is never left open.
    if: {
      required: ['auth'],
      properties: {
        auth: { type: 'object', required: ['method'], properties: { method: { const: 'basic' } } },
      },
    },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { required: ['source'] },
  }
}
