import Type, { type Static } from 'typebox'
import { closed, Kind, Label, Name, PrincipalId, ScopeText } from './schema.ts'

/** The file as people write it: YAML or JSON. Unknown keys are errors. */

const Text = Type.String({ minLength: 1, expected: 'a text' })

/** Where a secret is read from when the file is applied. */
export const SecretSource = Type.Union([
  closed({ env: Type.String({ minLength: 1, expected: 'the name of an environment variable' }) }),
  closed({ file: Type.String({ minLength: 1, expected: 'a path, relative to this file' }) }),
])

const ListenAddress = Type.String({
  pattern: '^(?:[A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}$',
  expected: 'HOST:PORT, such as 127.0.0.1:8080',
})

export const PrincipalEntry = closed(
  {
    id: PrincipalId,
    kind: Type.Optional(Kind),
    profile: Type.Optional(Label),
    email: Type.Optional(Label),
    projects: Type.Optional(Type.Array(Label)),
    admin: Type.Optional(Type.Boolean()),
    key: Type.Optional(SecretSource),
  },
  'a principal: { id: ada, kind: user }',
)

export const ConnectionEntry = closed(
  {
    name: Name,
    destinations: Type.Array(Text, { minItems: 1, expected: 'a list of at least one https://host' }),
    ownedWildcard: Type.Optional(Type.Boolean()),
    base: Type.Optional(Text),
    // Which keys stand beside `method` is the method's own to say.
    auth: Type.Object({ method: Text }, { expected: 'how it authenticates: { method: api-key }' }),
    source: Type.Optional(Type.Enum(['shared', 'per-profile', 'per-user'])),
    fallback: Type.Optional(Type.Array(Type.Enum(['profile', 'shared']))),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String({ expected: 'a text' }), {
        expected: 'header names with their values',
      }),
    ),
    allow: Type.Optional(
      closed({
        methods: Type.Optional(
          Type.Array(
            Type.String({
              pattern: "^[!#$%&'*+.^_`|~0-9A-Z-]+$",
              expected: 'an HTTP method in capitals, such as GET',
            }),
          ),
        ),
        paths: Type.Optional(
          Type.Array(Type.String({ pattern: '^/[\\x21-\\x7e]*$', expected: 'a path such as /api/*' })),
        ),
        profiles: Type.Optional(Type.Array(Label)),
        projects: Type.Optional(Type.Array(Label)),
      }),
    ),
    slots: Type.Optional(closed({ headers: Type.Optional(Type.Array(Text)) })),
    cors: Type.Optional(closed({ origins: Type.Array(Text) })),
    allowPrivateNetwork: Type.Optional(Type.Boolean()),
    allowPlaintext: Type.Optional(Type.Boolean()),
    ca: Type.Optional(Type.String({ minLength: 1, expected: 'a path of a PEM file, relative to this file' })),
  },
  'a connection: { name, destinations, auth }',
)

export const CredentialEntry = closed(
  {
    name: Type.Optional(Label),
    connection: Name,
    for: ScopeText,
    fields: Type.Record(Type.String(), Type.Unknown(), {
      expected: 'fields with their values: { apiKey: { env: STRIPE_KEY } }',
    }),
    projects: Type.Optional(Type.Array(Label)),
  },
  'a credential: { connection, for, fields }',
)

export const FileSchema = closed(
  {
    name: Type.Optional(Name),
    site: Type.Optional(closed({ url: Type.Optional(Text), contact: Type.Optional(Label) })),
    listen: Type.Optional(
      closed({
        proxy: Type.Optional(ListenAddress),
        console: Type.Optional(ListenAddress),
      }),
    ),
    identity: Type.Optional(closed({ default: Type.Optional(PrincipalId) })),
    principals: Type.Optional(Type.Array(PrincipalEntry)),
    connections: Type.Optional(Type.Array(ConnectionEntry)),
    credentials: Type.Optional(Type.Array(CredentialEntry)),
  },
  'keys such as `connections:`',
)

export type PrincipalEntry = Static<typeof PrincipalEntry>
export type ConnectionEntry = Static<typeof ConnectionEntry>
export type CredentialEntry = Static<typeof CredentialEntry>
export type FileValue = Static<typeof FileSchema>
