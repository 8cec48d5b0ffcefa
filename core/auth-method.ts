import type { CallOut } from './call-out.ts'
import type { RequestHead, ResponseHead } from './heads.ts'
import type { Json, JsonObject, Secret } from './secret.ts'
import type { SigningKeys } from './signing-keys.ts'
import type { AuthValues, Caller } from './words.ts'

/** One field of a method's credential, for parsing, forms and questions. */
export interface FieldRule {
  readonly title: string
  /** Searched for in answers and never shown; a user name is none. */
  readonly secret: boolean
  readonly required: boolean
}

/** `any`: a JSON object of any shape. An empty record: the method takes no credential. */
export type FieldSpec = Readonly<Record<string, FieldRule>> | 'any'

/** What a method acquired (a token, a role's session). */
export interface Grant<G extends JsonObject = JsonObject> {
  readonly values: G
  /** Unix ms; left out: until it is refused. */
  readonly expiresAt?: number
}

/** A provider with its secrets. */
export interface OpenProvider {
  readonly name: string
  readonly config: JsonObject
  readonly fields: JsonObject
}

/** Whom the other side is to trust. */
export interface TrustInput {
  readonly provider: OpenProvider
  /** Ids of sites. */
  readonly sites: readonly string[]
  /** Who asks, as the other side names it; found out where it is left out. */
  readonly principal: string | undefined
}

/** A policy of the other side's, and the command that makes it. */
export interface Trust {
  readonly policy: JsonObject
  readonly command: readonly string[]
}

/** One thing that was tried. */
export interface Finding {
  readonly says: string
  readonly holds: boolean
  /** What to do where it does not. */
  readonly hint?: string
}

/** What a provider of a method is made of. */
export interface ProviderRules {
  /** Whether a connection of the method must name one. */
  readonly required: boolean
  /** Its own keys in the file beside `name` and `method`. */
  readonly configKeys: readonly string[]
  readonly configSchema: { readonly [key: string]: JsonObject }
  readonly configFiles?: readonly (readonly string[])[]
  /** What is sealed of it. */
  readonly fields: Readonly<Record<string, FieldRule>>
  /** The key of the file under which those stand; beside the others where it is left out. */
  readonly fieldsWithin?: string
  /** Throws bad_request where it does not make sense. `fields`: those that are given, with all that are required. */
  checkConfig?(config: JsonObject, fields: readonly string[]): void
  /** URLs to which it takes its secrets, and those of credentials. */
  endpoints(config: JsonObject): readonly string[]
  /** Whether its credentials are made by somebody's consent at the provider, not entered. */
  byConsent?(config: JsonObject): boolean
  /** What a credential for it is made of; undefined: what the method says. */
  credentialFields?(config: JsonObject): FieldSpec | undefined
  /** What the other side has to set up first. Throws bad_request, and what `acquire` throws. */
  trust?(x: TrustInput, io: MethodIO): Promise<Trust>
  /** Shows whether it works, and that it does for nobody else. */
  prove?(x: AcquireInput, io: MethodIO): Promise<readonly Finding[]>
  /** What of a caller goes into what is acquired, which is then theirs alone (R24); undefined: nothing. */
  ofCaller?(config: JsonObject, caller: Caller): Json | undefined
}

/** Scopes that a provider asks for; `optional` ones may be left out by whoever consents. */
export interface ConsentScopes {
  readonly required: readonly string[]
  readonly optional: readonly string[]
  /** A page that explains them. */
  readonly url: string | undefined
}

/** What a person is told to type, and where (RFC 8628 §3.2). Times are Unix ms. */
export interface DeviceCode {
  readonly userCode: string
  readonly verificationUri: string
  /** The same with the code in it. */
  readonly verificationUriComplete: string | undefined
  readonly expiresAt: number
  /** ms between two questions. */
  readonly interval: number
  /** What `poll` asks with; a secret. */
  readonly keep: JsonObject
}

/** How somebody consents at a provider. */
export interface ConsentRules {
  /** By a page to which their browser is sent and from which it comes back, or by a code that they type elsewhere. */
  way(config: JsonObject): 'redirect' | 'fragment' | 'device'
  scopes(config: JsonObject): ConsentScopes
  /** `scopes`: of the optional ones those that are wanted. Returns what is kept, a secret, until they come back. */
  begin(x: ConsentBegin, io: MethodIO): Promise<{ url: string; keep: JsonObject }>
  /** `answer`: the address by which they came back. Throws what `acquire` throws. */
  complete(x: ConsentAnswer, io: MethodIO): Promise<Grant>
  beginDevice(x: Pick<ConsentBegin, 'provider' | 'scopes'>, io: MethodIO): Promise<DeviceCode>
  /** Undefined: not yet. `slower`: ms to add to the interval. */
  pollDevice(
    x: { provider: OpenProvider; keep: JsonObject },
    io: MethodIO,
  ): Promise<{ grant?: Grant; slower?: number }>
  /** False where the provider has no place for it. */
  revoke(x: { provider: OpenProvider; grant: Grant }, io: MethodIO): Promise<boolean>
}

export interface ConsentBegin {
  readonly provider: OpenProvider
  readonly redirectUri: string
  readonly state: string
  readonly scopes: readonly string[] | undefined
}

export interface ConsentAnswer {
  readonly provider: OpenProvider
  readonly redirectUri: string
  readonly state: string
  readonly keep: JsonObject
  readonly answer: URL
}

/** What is acquired with. */
export interface AcquireInput {
  readonly config: JsonObject
  readonly fields: JsonObject
  readonly provider: OpenProvider | undefined
  /** What was acquired before, whether or not it still serves. */
  readonly previous: Grant | undefined
  /** Where something of them goes into it. */
  readonly caller: Caller | undefined
}

/** What a method may use of the world when it acquires. */
export interface MethodIO {
  readonly callOut: CallOut
  readonly signingKeys: SigningKeys
  /** The site's id, a UUID. */
  siteId(): Promise<string>
  /** Unix ms. */
  now(): number
  /** Aborted after 30 s, when nobody waits any longer. */
  readonly signal: AbortSignal
}

/** Header edits: set (replacing what is there) in order, after removing. Names in any case. */
export interface FieldEdits {
  readonly remove?: readonly string[]
  readonly set: readonly (readonly [name: string, value: string])[]
}

/** What a request is signed with. */
export interface SignInput {
  readonly config: JsonObject
  /** As `values()` gave them. */
  readonly values: Secret<AuthValues>
  /** Unix ms, as the upstream's own clock has it. */
  readonly now: number
  /** The request goes out over TLS. */
  readonly secure: boolean
}

/** What signing makes of a request. */
export interface Signed extends FieldEdits {
  /** In place of the head's. */
  readonly target?: string
  /** What becomes of the body on its way; as many bytes as it had. */
  readonly body?: BodyRewrite
}

/** Rewrites a body, piece by piece. Throws bad_request, too_large. */
export interface BodyRewrite {
  /** What can be said by now; a piece is read into again when this returns. */
  write(piece: Buffer): Buffer
  end(): Buffer
}

export interface MethodInput {
  readonly config: JsonObject
  readonly fields: JsonObject
  readonly provider?: OpenProvider
  /** Fields that are no secrets, where the credential's type says so. */
  readonly plain?: readonly string[]
  readonly grant?: Grant
  readonly caller: Caller
}

/**
 * One way to authenticate. A method that needs less implements less. Shapes of `config` and fields
 * are the method's own; everything it throws is a LocumError without a secret.
 */
export interface AuthMethod {
  readonly id: string
  /** For people, in lists and questions. */
  readonly title: string
  readonly fields: FieldSpec
  /** Names that `$Auth.` may begin with; undefined: whatever the credential holds. */
  readonly variables?: readonly string[]
  /** Names of `auth:` keys in the file beside `method`. */
  readonly configKeys: readonly string[]
  /** JSON Schema of each of them, with a `description` for editors. */
  readonly configSchema?: { readonly [key: string]: JsonObject }
  /** Places in `auth` that name a file of PEM certificates; what is kept is what is in it. */
  readonly configFiles?: readonly (readonly string[])[]
  /** Origins that the method itself takes the credential to. Whoever enters it approves them (R25). */
  endpoints?(config: JsonObject): readonly string[]
  /** Whether it serves callers for whom there is no credential. */
  worksWithoutCredential?(config: JsonObject, provider: JsonObject | undefined): boolean
  /** Left out: it takes no provider. */
  readonly provider?: ProviderRules
  /** Where providers of it may be by consent. */
  readonly consent?: ConsentRules
  /** Throws bad_request where the connection's `auth` does not make sense. */
  checkConfig?(config: JsonObject): void
  /** Throws bad_request where entered fields do not make sense. */
  checkFields?(fields: JsonObject): void
  /** What `$Auth.X` may become. */
  values(input: MethodInput): AuthValues
  /** What is set on every request: header name, template over `$Auth`, `$User`, `$Api`. */
  inject?(config: JsonObject): readonly (readonly [name: string, template: string])[]
  /**
   * Tokens, roles: called by the broker alone, single flight, under a lease. What it gives serves
   * every caller of the credential, so that it sees none of them, unless its provider says so (R24). Throws
   * refresh_failed where it may succeed the next time, reauthorization_required where what it was acquired
   * with is good for nothing any more.
   */
  acquire?(input: AcquireInput, io: MethodIO): Promise<Grant>
  /**
   * How many bytes of the body are read at most before it is signed; undefined: it passes as it comes. `head`: as the
   * client sent it, with the host that it goes to; none where a secret says which.
   */
  signsBody?(config: JsonObject, head: RequestHead, secure: boolean): number | undefined
  /**
   * Sees the final head of a request and says what to change. `body`: all of it, undefined where it passes as it
   * comes. Throws bad_request where it cannot be signed.
   */
  sign?(input: SignInput, head: RequestHead, body: Uint8Array | undefined): Signed
  /**
   * Whether this answer to a request with the material means that it is repeated once: after a renewal, or with what the
   * upstream's clock shows, `clock` ms ahead of `now` (Unix ms). `then`: what was taken for now when it was signed, moved
   * on to this moment.
   */
  challenge?(
    config: JsonObject,
    response: ResponseHead,
    now: number,
    then: number,
  ): 'renew' | { readonly clock: number } | undefined
}

/** Every method, by id. */
export type AuthMethods = ReadonlyMap<string, AuthMethod>
