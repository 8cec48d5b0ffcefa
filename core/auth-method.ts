import type { CallOut } from './call-out.ts'
import type { RequestHead, ResponseHead } from './heads.ts'
import type { JsonObject, Secret } from './secret.ts'
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

/** What a method may use of the world when it acquires. */
export interface MethodIO {
  readonly callOut: CallOut
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

export interface MethodInput {
  readonly config: JsonObject
  readonly fields: JsonObject
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
  worksWithoutCredential?(config: JsonObject): boolean
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
   * every caller of the credential, so that it sees none of them (R24).
   */
  acquire?(input: Pick<MethodInput, 'config' | 'fields'>, io: MethodIO): Promise<Grant>
  /**
   * Sees the final head of a request and says what to change; `values` as `values()` gave them. `body`:
   * all of it, undefined where it passes as it comes.
   */
  sign?(
    input: { config: JsonObject; values: Secret<AuthValues> },
    head: RequestHead,
    body: Uint8Array | undefined,
  ): FieldEdits
  /** Whether this answer to a request with the material means that it should be renewed and the request repeated once. */
  challenge?(config: JsonObject, response: ResponseHead): 'renew' | undefined
}

/** Every method, by id. */
export type AuthMethods = ReadonlyMap<string, AuthMethod>
