import Type, { type Static } from 'typebox'
import { SIGNATURES, SUBJECT } from '../core/identity.ts'
import { about, closed, Label } from './schema.ts'
import { SecretSource } from './secret-schema.ts'

/** `identity.issuers` in the file. */

const Url = Type.String({ pattern: '^https?://[^\\s]+$', expected: 'an URL such as https://idp.example.com' })

const Claims = closed(
  {
    id: Type.Optional(
      about(
        'Which says who the user is. Another than `sub` is for one that the issuer never gives to somebody else.',
        Label,
        { default: SUBJECT },
      ),
    ),
    profile: Type.Optional(
      about('Which says the profile: one text. A dot descends: `resource_access.role`.', Label, {
        examples: ['role'],
      }),
    ),
    email: Type.Optional(about('Which says the e-mail address, for `$User.Email`.', Label)),
    projects: Type.Optional(
      about('Which says the projects: a list of texts.', Label, { examples: ['groups'] }),
    ),
  },
  'claims by what they say: { id: sub, profile: role }',
)

export const IssuerEntry = closed(
  {
    issuer: about('What its tokens say in `iss`, to the letter.', Url, {
      examples: ['https://idp.example.com'],
    }),
    audience: about(
      'What has to be among their `aud`: the name of this Locum there. A token for anything else lets nobody in.',
      Label,
      { examples: ['locum'] },
    ),
    claims: Type.Optional(about('What the claims of a token say of the user.', Claims)),
    jwksUri: Type.Optional(
      about('Where its keys are. Left out: /.well-known/openid-configuration under the issuer says it.', Url),
    ),
    algorithms: Type.Optional(
      about(
        'How its tokens may be signed. Left out: in any of these ways.',
        Type.Array(Type.Enum([...SIGNATURES]), {
          minItems: 1,
          expected: `a list of ${SIGNATURES.join(', ')}`,
        }),
        { examples: [['RS256']] },
      ),
    ),
    login: Type.Optional(
      about(
        "Lets its users sign in at the console: Locum's client there. Registered has to be SITE/sign-in/callback.",
        closed({
          clientId: about('The id of the client.', Label),
          clientSecret: Type.Optional(about('Its secret.', SecretSource)),
          scopes: Type.Optional(
            about('Scopes beside `openid`, for the claims that are read.', Type.Array(Label), {
              default: [],
              examples: [['email', 'profile']],
            }),
          ),
        }),
      ),
    ),
    allowPrivateNetwork: Type.Optional(
      about('Lets it be at loopback and private addresses.', Type.Boolean(), { default: false }),
    ),
    allowPlaintext: Type.Optional(
      about(
        'Lets its keys be had over http, where whoever is on the way can put in theirs.',
        Type.Boolean(),
        {
          default: false,
        },
      ),
    ),
    ca: Type.Optional(
      about(
        'A PEM file: the CA of the issuer, in place of the usual ones, relative to this file.',
        Type.String({ minLength: 1, expected: 'a path of a PEM file, relative to this file' }),
        { examples: ['./idp-ca.pem'] },
      ),
    ),
  },
  'an issuer: { issuer: https://idp.example.com, audience: locum }',
)

export type IssuerEntry = Static<typeof IssuerEntry>
