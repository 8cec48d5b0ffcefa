import Type, { type TSchema } from 'typebox'
import { LimitsInput } from '../operations/limits-schema.ts'
import { closed } from '../operations/schema.ts'

/** What the operations answer with. Tests hold every real answer against these. Times are Unix ms. */

const Text = Type.String()
const Texts = Type.Array(Text)
const Flag = Type.Boolean()
const Time = Type.Integer({ description: 'Unix ms.' })
const Version = Type.Integer({ description: 'Grows with every change; 1 at first.' })
const Kind = Type.Enum(['user', 'service'])
const Source = Type.Enum(['shared', 'per-profile', 'per-user'])
const Anything = Type.Unknown()
const AnyObject = Type.Object({})
const maybe = <T extends TSchema>(schema: T) => Type.Optional(schema)
const listOf = <T extends TSchema>(schema: T) => Type.Array(schema)

const WHO = {
  id: Text,
  kind: Kind,
  profile: maybe(Text),
  email: maybe(Text),
  projects: Texts,
  admin: Flag,
}

export const OwnAnswer = closed(WHO)

const RECORD = {
  ...WHO,
  disabled: Flag,
  mayActFor: maybe(Texts),
  revokedAt: maybe(Time),
  limits: maybe(LimitsInput),
  managedBy: maybe(Text),
  federated: maybe(closed({ issuer: Text, claim: maybe(Text), subject: Text })),
  version: Version,
  createdAt: Time,
}

export const PrincipalRecordAnswer = closed(RECORD)
export const PrincipalAnswer = closed({
  ...RECORD,
  keys: listOf(closed({ createdAt: Time, expiresAt: maybe(Time) })),
})

/** A key is given once: here. */
export const GivenKeyAnswer = closed({ id: Text, key: Text, expiresAt: maybe(Time), suspended: Texts })
/** A link is given once, too: its ticket stands behind `/key?ticket=`. */
export const GivenLinkAnswer = closed({ id: Text, ticket: Text, expiresAt: Time, suspended: Texts })
export const RevokedAnswer = closed({ id: Text, revoked: Type.Integer(), suspended: Texts })
export const RemovedAnswer = closed({ id: Text })
export const NamedAnswer = closed({ name: Text })
export const SiteAnswer = closed({ id: Text, url: maybe(Text), contact: maybe(Text), createdAt: Time })

const Budget = closed({ uses: Type.Integer(), per: Type.Enum(['minute', 'hour', 'day']) })
const Pairs = Type.Array(Type.Array(Text, { minItems: 2, maxItems: 2 }))

export const ConnectionAnswer = closed({
  name: Text,
  destinations: Texts,
  ownedWildcard: Flag,
  base: maybe(Text),
  method: Text,
  methodConfig: AnyObject,
  provider: maybe(Text),
  calls: maybe(Texts),
  source: Source,
  fallback: Texts,
  allow: closed({
    methods: maybe(Texts),
    paths: maybe(Texts),
    profiles: maybe(Texts),
    projects: maybe(Texts),
  }),
  headers: Pairs,
  slots: maybe(
    closed({
      headers: maybe(Texts),
      path: maybe(Flag),
      query: maybe(Texts),
      json: maybe(Texts),
      form: maybe(Texts),
    }),
  ),
  placeholders: maybe(AnyObject),
  query: maybe(Pairs),
  body: maybe(AnyObject),
  corsOrigins: Texts,
  redact: maybe(Type.Enum(['mask', 'block', 'off'])),
  allowPrivateNetwork: Flag,
  allowPlaintext: Flag,
  ca: maybe(Text),
  intercept: maybe(Flag),
  budget: maybe(closed({ total: maybe(Budget), perCaller: maybe(Budget) })),
  managedBy: maybe(Text),
  version: Version,
})

export const CredentialAnswer = closed({
  id: Text,
  name: Text,
  owner: Text,
  bindings: listOf(closed({ connection: Text, for: Text })),
  fields: Texts,
  audience: Texts,
  projects: Texts,
  state: Type.Enum(['ready', 'disabled', 'suspended', 'outside-audience']),
  blocked: maybe(Flag),
  offer: maybe(closed({ to: Text, until: Time })),
  managedBy: maybe(Text),
  version: Version,
  createdAt: Time,
  changedAt: Time,
})
export const UnsharedAnswer = closed({ id: Text, projects: Texts })
export const OfferAnswer = closed({
  id: Text,
  name: Text,
  from: Text,
  to: Text,
  audience: Texts,
  projects: Texts,
  until: Time,
})

export const ProjectAnswer = closed({
  name: Text,
  members: listOf(closed({ id: Text, editor: Flag })),
  credentials: Texts,
  connections: Texts,
})

export const ProviderAnswer = closed({
  name: Text,
  method: Text,
  config: AnyObject,
  calls: Texts,
  fields: Texts,
  connections: Texts,
  managedBy: maybe(Text),
  version: Version,
})

export const TrustAnswer = closed({ policy: AnyObject, command: Texts })
export const ProofAnswer = closed({
  connection: Text,
  method: Text,
  scope: maybe(Text),
  findings: listOf(closed({ says: Text, holds: Flag, hint: maybe(Text) })),
})

const TYPE = { name: Text, schema: AnyObject, version: Version }
export const TypeAnswer = closed({
  ...TYPE,
  fields: listOf(
    closed({
      name: Text,
      title: Text,
      description: maybe(Text),
      secret: Flag,
      required: Flag,
      kinds: Texts,
      choices: maybe(Type.Array(Anything)),
      usual: maybe(Anything),
      example: maybe(Anything),
    }),
  ),
  oauth: Flag,
  connections: Texts,
})
export const ImportedAnswer = closed({ type: closed(TYPE), changed: Flag })

export const CertAnswer = closed({
  name: Text,
  role: Type.Enum(['signs', 'next']),
  kind: Text,
  kid: Text,
  fingerprint: Text,
  validUntil: Time,
  signsFrom: maybe(Time),
  pem: Text,
})
export const CertRotationAnswer = closed({ changed: Flag, certificates: listOf(CertAnswer) })

export const CaAnswer = closed({
  role: Type.Enum(['signs', 'next']),
  subject: Text,
  fingerprint: Text,
  validUntil: Time,
  signsFrom: maybe(Time),
})
export const CaRotationAnswer = closed({ changed: Flag, trusted: listOf(CaAnswer) })
export const ExportedCaAnswer = closed({
  format: Type.Enum(['pem', 'der', 'p12']),
  content: Type.String({ description: 'The bytes of the file in base64.' }),
})

export const AddedAnswer = closed({
  connection: ConnectionAnswer,
  credential: CredentialAnswer,
  beside: Texts,
})

export const ChangesAnswer = closed({
  changes: listOf(
    closed({
      action: Type.Enum(['create', 'update', 'delete']),
      kind: Type.Enum(['site', 'principal', 'provider', 'connection', 'credential']),
      id: Text,
      keys: Texts,
    }),
  ),
})

const Whom = { id: Text, profile: maybe(Text) }
export const ExplanationAnswer = closed({
  method: Text,
  url: Text,
  entrance: Type.Enum(['forward', 'connect', 'gateway']),
  caller: closed({ ...Whom, kind: Kind }),
  for: maybe(closed(Whom)),
  destination: maybe(Text),
  considered: listOf(closed({ connection: Text, fits: Flag })),
  connection: maybe(closed({ name: Text, method: Text, source: Source, fallback: Texts })),
  credential: maybe(
    closed({
      looked: Texts,
      scope: maybe(Text),
      id: maybe(Text),
      version: maybe(Version),
      disabled: maybe(Flag),
      audience: maybe(Texts),
      approved: maybe(Flag),
      redact: maybe(Text),
    }),
  ),
  slots: listOf(closed({ place: Text, placeholders: Texts, replaced: Flag })),
  bodySlots: Texts,
  sets: listOf(closed({ header: maybe(Text), query: maybe(Text), body: maybe(Text), variables: Texts })),
  connect: maybe(Type.Enum(['untouched', 'unmatched'])),
  error: maybe(closed({ code: Text, status: Type.Integer(), detail: Text, hint: maybe(Text) })),
})

export const AuditAnswer = closed({
  records: Type.Array(Type.Object({ seq: Type.Integer(), at: Text, event: Text })),
  before: maybe(Text),
})
export const FaultsAnswer = closed({
  faults: listOf(closed({ kind: Text, file: Text, line: maybe(Type.Integer()), text: Text })),
})

/** RFC 9457, with a code. */
export const ProblemAnswer = closed({
  type: Text,
  title: Text,
  status: Type.Integer(),
  code: maybe(Text),
  detail: Text,
  hint: maybe(Text),
  authorizeUrl: maybe(Text),
})
