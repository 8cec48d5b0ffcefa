import Type, { type Static } from 'typebox'
import { IssuerEntry } from './identity-schema.ts'
import { BudgetsEntry, LimitsEntry, SiteLimitsEntry } from './limits-schema.ts'
import { ListenSection } from './listen-schema.ts'
import { ActForText, about, closed, Kind, Label, Name, PrincipalId, ScopeText } from './schema.ts'
import { SecretSource } from './secret-schema.ts'
import { BodyEntry, PlaceholdersEntry, QueryEntry, SlotsEntry, texts } from './slot-schema.ts'

/**
 * The file as people write it: YAML or JSON. Unknown keys are errors. Every key says what it is for
 * (`about`): docs/locum.schema.json is made of this (operations/json-schema.ts).
 */

const Text = Type.String({ minLength: 1, expected: 'a text' })

export const PrincipalEntry = closed(
  {
    id: about('Who it is. Callers say it beside their proxy key.', PrincipalId, { examples: ['ada'] }),
    kind: Type.Optional(about('A person, or a program.', Kind, { default: 'user' })),
    profile: Type.Optional(
      about('The group whose credentials it may be served with. At most one.', Label, {
        examples: ['sales'],
      }),
    ),
    email: Type.Optional(about('Its e-mail address, for `$User.Email`.', Label)),
    projects: Type.Optional(
      about('The projects it belongs to; a connection can be limited to some.', Type.Array(Label), {
        default: [],
      }),
    ),
    admin: Type.Optional(about('Whether it may administer this site.', Type.Boolean(), { default: false })),
    key: Type.Optional(
      about(
        'Its proxy key (`lcm_…`). Without it there is none until `locum principal rotate-key`.',
        SecretSource,
      ),
    ),
    mayActFor: Type.Optional(
      about(
        'The users for whom it may call, with `Locum-For: user:ID`: it is served with their credentials.',
        Type.Array(ActForText),
        { examples: [['user:*']] },
      ),
    ),
    limits: Type.Optional(
      about("How much of Locum it may use; the site's `limits` hold for what is left out.", LimitsEntry),
    ),
  },
  'a principal: { id: ada, kind: user }',
)

const Allow = closed({
  methods: Type.Optional(
    about(
      'The HTTP methods, in capitals. Left out: all.',
      Type.Array(
        Type.String({
          pattern: "^[!#$%&'*+.^_`|~0-9A-Z-]+$",
          expected: 'an HTTP method in capitals, such as GET',
        }),
      ),
      { examples: [['GET', 'POST']] },
    ),
  ),
  paths: Type.Optional(
    about(
      'The paths, in which `*` stands for any characters. Where two connections reach the same destination, the longer literal beginning wins.',
      Type.Array(Type.String({ pattern: '^/[\\x21-\\x7e]*$', expected: 'a path such as /api/*' })),
      { examples: [['/v1/*']] },
    ),
  ),
  profiles: Type.Optional(about('Only callers with one of these profiles.', Type.Array(Label))),
  projects: Type.Optional(about('Only callers in one of these projects.', Type.Array(Label))),
})

export const ConnectionEntry = closed(
  {
    name: about(
      'What it is called: in errors, in the audit, in `Locum-Connection`, and at the gateway as /c/NAME/.',
      Name,
      { examples: ['stripe'] },
    ),
    destinations: about(
      'What may be reached: scheme, host and port, without a path. The left-most label of a host may be `*`.',
      Type.Array(Text, { minItems: 1, expected: 'a list of at least one https://host' }),
      { examples: [['https://api.stripe.com']] },
    ),
    ownedWildcard: Type.Optional(
      about(
        'Says that every name under a wildcard is yours. Without it a wildcard carries no secret.',
        Type.Boolean(),
        { default: false },
      ),
    ),
    base: Type.Optional(
      about('Where the gateway sends /c/NAME/…. Left out: the only exact destination.', Text, {
        examples: ['https://api.example.com/v2/'],
      }),
    ),
    // Which keys stand beside `method` is the method's own to say.
    auth: about(
      'How requests are authenticated.',
      Type.Object(
        { method: about('The method; the other keys are its own.', Text) },
        { expected: 'how it authenticates: { method: api-key }' },
      ),
    ),
    source: Type.Optional(
      about(
        'Whose credential serves a caller. `basic` needs it said.',
        Type.Enum(['shared', 'per-profile', 'per-user']),
        { default: 'shared' },
      ),
    ),
    fallback: Type.Optional(
      about(
        'Where else to look when the caller has none: `shared` for per-profile; `profile`, `shared` or both for per-user.',
        Type.Array(Type.Enum(['profile', 'shared'])),
        { default: [] },
      ),
    ),
    headers: Type.Optional(
      about(
        "Common headers: set on every request, in place of the client's own. `{{$Auth.…}}` and `{{$User.…}}` stand for values.",
        texts('header names with their values'),
      ),
    ),
    allow: Type.Optional(about('What may be asked for, and by whom. Left out: anything, by anybody.', Allow)),
    slots: Type.Optional(about("Where a client's placeholder may be replaced.", SlotsEntry)),
    placeholders: Type.Optional(PlaceholdersEntry),
    query: Type.Optional(QueryEntry),
    body: Type.Optional(BodyEntry),
    cors: Type.Optional(
      about(
        'Web pages that may use the gateway.',
        closed({
          origins: about('Exact origins; never `*`.', Type.Array(Text), {
            examples: [['https://app.example.com']],
          }),
        }),
      ),
    ),
    redact: Type.Optional(
      about(
        'What becomes of a secret that comes back: it is masked, the answer refused, or nothing. YAML 1.1 reads `off` as false.',
        Type.Union([Type.Enum(['mask', 'block', 'off']), Type.Literal(false)], {
          expected: 'mask, block or off',
        }),
        { default: 'mask' },
      ),
    ),
    allowPrivateNetwork: Type.Optional(
      about('Lets it reach loopback, private, link-local and metadata addresses.', Type.Boolean(), {
        default: false,
      }),
    ),
    allowPlaintext: Type.Optional(
      about('Lets a secret go over plain http.', Type.Boolean(), { default: false }),
    ),
    ca: Type.Optional(
      about(
        "A PEM file with the upstream's own CA certificates, relative to this file.",
        Type.String({ minLength: 1, expected: 'a path of a PEM file, relative to this file' }),
        { examples: ['./lab-ca.pem'] },
      ),
    ),
    intercept: Type.Optional(
      about(
        'Whether CONNECT is opened. `false`: it passes untouched, and only its host and port are judged; with the method `none` alone.',
        Type.Boolean(),
        { default: true },
      ),
    ),
    budget: Type.Optional(
      about('How often it may be used. Counted over all processes, and kept.', BudgetsEntry),
    ),
  },
  'a connection: { name, destinations, auth }',
)

export const ProviderEntry = about(
  'What connections share to obtain tokens: an OAuth client, a JWT issuer.',
  Type.Object(
    {
      name: about('What connections call it.', Name, { examples: ['google'] }),
      method: about('The method whose connections it serves; the other keys are its own.', Text),
    },
    { expected: 'a provider: { name, method }' },
  ),
)

export const CredentialEntry = closed(
  {
    name: Type.Optional(about('For people, in lists.', Label)),
    connection: about('The connection that it is for, in this file or applied before.', Name),
    for: about('Whom it serves: `shared`, `profile:NAME` or `user:ID`.', ScopeText, {
      examples: ['shared', 'profile:sales', 'user:ada'],
    }),
    fields: about(
      "What the connection's method asks for: `apiKey`; `username` and `password`; for `raw` anything. Secrets are best read from elsewhere: `{ env: NAME }` or `{ file: PATH }`.",
      Type.Record(Type.String(), Type.Union([SecretSource, Type.Unknown()]), {
        expected: 'fields with their values: { apiKey: { env: STRIPE_KEY } }',
      }),
    ),
    projects: Type.Optional(
      about('The projects that it is shared with.', Type.Array(Label), { default: [] }),
    ),
  },
  'a credential: { connection, for, fields }',
)

export const EgressEntry = closed(
  {
    proxy: about(
      'Its address, with the port and without a password.',
      Type.String({ minLength: 1, expected: 'a proxy: http://HOST:PORT' }),
      { examples: ['http://corp:3128'] },
    ),
    username: Type.Optional(
      about("Locum's user name with it.", Type.String({ minLength: 1, expected: 'a text' })),
    ),
    password: Type.Optional(
      about('The password of that user.', SecretSource, { examples: [{ env: 'CORP_PASSWORD' }] }),
    ),
    ca: Type.Optional(
      about(
        "For https://: a PEM file with the proxy's own CA certificates, relative to this file.",
        Type.String({ minLength: 1, expected: 'a path of a PEM file, relative to this file' }),
        { examples: ['./corp-ca.pem'] },
      ),
    ),
    noProxy: Type.Optional(
      about(
        'What is dialled without it: names (with all names under them), addresses, CIDRs, or `*`. By the host as it is asked for.',
        Type.Array(Text),
        { default: [], examples: [['.internal', '10.0.0.0/8']] },
      ),
    ),
  },
  'a parent proxy: { proxy: http://corp:3128 }',
)

export const NotifyEntry = closed(
  {
    webhook: about('Where notices are sent, as JSON: that somebody has to consent again.', Text, {
      examples: ['https://hooks.example.com/locum'],
    }),
    secret: about('Signs each notice, so that whoever gets it knows that it is of this site.', SecretSource),
    ca: Type.Optional(
      about('A PEM file with the CA of that address, relative to this file.', Text, {
        examples: ['./hooks-ca.pem'],
      }),
    ),
    allowPrivateNetwork: Type.Optional(
      about('Lets it reach loopback and private addresses.', Type.Boolean(), { default: false }),
    ),
    allowPlaintext: Type.Optional(about('Lets it go over http.', Type.Boolean(), { default: false })),
  },
  'a webhook: { webhook, secret }',
)

export const FileSchema = closed(
  {
    name: Type.Optional(
      about('Whose objects these are: `apply --prune` removes what a file of this name made.', Name, {
        default: 'default',
      }),
    ),
    site: Type.Optional(
      about(
        'This installation.',
        closed({
          url: Type.Optional(about('Its public address.', Text, { examples: ['https://locum.example.com'] })),
          contact: Type.Optional(about('Whom people ask about it.', Label, { examples: ['it@example.com'] })),
        }),
      ),
    ),
    listen: Type.Optional(about('Where `locum serve` listens.', ListenSection)),
    identity: Type.Optional(
      about(
        'Who callers are.',
        closed({
          default: Type.Optional(
            about(
              'Who calls where nobody says so: a sidecar needs no key. Never for a web page.',
              PrincipalId,
            ),
          ),
          issuers: Type.Optional(
            about(
              'OpenID Connect issuers whose JWTs say who calls, each user as one of their own (docs/CALLERS.md).',
              Type.Array(IssuerEntry),
            ),
          ),
        }),
      ),
    ),
    egress: Type.Optional(about('The parent proxy that everything leaves by.', EgressEntry)),
    notify: Type.Optional(about('Whom to tell of what somebody has to do.', NotifyEntry)),
    unmatched: Type.Optional(
      about(
        'What becomes of a CONNECT to a host that no connection names. `tunnel`: to port 443 of public addresses it passes untouched.',
        Type.Enum(['deny', 'tunnel']),
        { default: 'deny' },
      ),
    ),
    audit: Type.Optional(
      about(
        'How the audit is written.',
        closed({
          durability: Type.Optional(
            about(
              'When a use counts as recorded. `system`: when the operating system has it, so that a killed process loses none; `disk`: when the disk has it, so that a power failure does not either.',
              Type.Enum(['system', 'disk']),
              { default: 'system' },
            ),
          ),
        }),
      ),
    ),
    limits: Type.Optional(
      about('How much of Locum each principal may use that has no limits of its own.', SiteLimitsEntry),
    ),
    principals: Type.Optional(about('Users and services that may call.', Type.Array(PrincipalEntry))),
    providers: Type.Optional(
      about(
        'OAuth clients and JWT issuers, set up once and shared by connections.',
        Type.Array(ProviderEntry),
      ),
    ),
    connections: Type.Optional(about('External systems that can be reached.', Type.Array(ConnectionEntry))),
    credentials: Type.Optional(about('The secrets, and whom they serve.', Type.Array(CredentialEntry))),
  },
  'keys such as `connections:`',
)

export type NotifyEntry = Static<typeof NotifyEntry>
export type EgressEntry = Static<typeof EgressEntry>
export type PrincipalEntry = Static<typeof PrincipalEntry>
export type ProviderEntry = Static<typeof ProviderEntry>
export type ConnectionEntry = Static<typeof ConnectionEntry>
export type CredentialEntry = Static<typeof CredentialEntry>
export type FileValue = Static<typeof FileSchema>
