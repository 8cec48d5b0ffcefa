import { mayDial } from '../core/addresses.ts'
import { parseDestination } from '../core/destination.ts'
import { type Issuer, type LoginClient, SIGNATURES, SUBJECT } from '../core/identity.ts'
import { Secret } from '../core/secret.ts'
import type { Path } from './document.ts'
import { readCa } from './file-certificates.ts'
import { kindOfHost } from './file-connection.ts'
import type { IssuerEntry } from './identity-schema.ts'
import type { Context } from './operation.ts'
import { attempt, type Report } from './report.ts'
import { type ReadText, readSecret } from './secret-source.ts'

interface Reading extends Pick<Context, 'env'> {
  readonly readText: ReadText
  note(path: Path, says: string): void
  problem(path: Path, says: string, part?: 'key' | 'value'): void
}

/** Claims that one user can lose and another get, at most issuers. */
const PASSED_ON = [
  'email',
  'preferred_username',
  'upn',
  'unique_name',
  'username',
  'nickname',
  'name',
  'phone_number',
]

/** The issuers that a file names. What is wrong with one is reported, and leaves it out. */
export async function readIssuers(entries: readonly IssuerEntry[], reading: Reading): Promise<Issuer[]> {
  const issuers: Issuer[] = []
  for (const [i, entry] of entries.entries()) {
    const at = ['identity', 'issuers', String(i)]
    const problem: Report = (path, says, part) => reading.problem([...at, ...path], says, part)
    const { issuer, audience, jwksUri, claims = {}, algorithms = SIGNATURES } = entry
    const { allowPrivateNetwork, allowPlaintext } = entry
    if (entries.findIndex((other) => other.issuer === issuer) < i)
      problem(['issuer'], `${issuer} is in this file twice`)
    checkUrl(issuer, ['issuer'], entry, problem)
    // OpenID Connect Discovery 1.0 §3.
    if (/[?#]/.test(issuer)) problem(['issuer'], 'an issuer has no query and no fragment')
    if (jwksUri !== undefined) checkUrl(jwksUri, ['jwksUri'], entry, problem)
    const { id = SUBJECT } = claims
    if (PASSED_ON.includes(id))
      reading.note(
        [...at, 'claims', 'id'],
        `whoever gets a user's \`${id}\` at the issuer later is that user here, with the credentials they entered; \`${SUBJECT}\` is never another's`,
      )
    const ca = entry.ca === undefined ? undefined : await readCa(entry.ca, reading.readText, problem)
    const rules = { allowPrivateNetwork, allowPlaintext, ca }
    const login = entry.login && (await readLogin(entry.login, reading, problem))
    issuers.push({
      issuer,
      audience,
      claims: { ...claims, id },
      jwksUri,
      algorithms,
      rules,
      ...(login && { login }),
    })
  }
  return issuers
}

async function readLogin(
  { clientId, clientSecret, scopes = [] }: NonNullable<IssuerEntry['login']>,
  { env, readText }: Reading,
  problem: Report,
): Promise<LoginClient | undefined> {
  if (clientSecret === undefined) return { clientId, clientSecret: undefined, scopes }
  const read = await readSecret(clientSecret, env, readText)
  if ('text' in read) return { clientId, clientSecret: new Secret(read.text), scopes }
  problem(['login', 'clientSecret'], read.problem)
  return undefined
}

function checkUrl(
  text: string,
  path: Path,
  { allowPlaintext, allowPrivateNetwork = false }: IssuerEntry,
  problem: Report,
): void {
  if (!URL.canParse(text) || /[@#]/.test(text))
    return problem(path, 'expected an URL such as https://idp.example.com')
  const destination = attempt(problem, path, () => parseDestination(new URL(text).origin))
  if (!destination) return
  const { scheme, host, wildcard } = destination
  if (wildcard) problem(path, 'names no single host')
  if (scheme === 'http' && !allowPlaintext)
    problem(path, 'is no https address; with `allowPlaintext: true` its keys are had over http')
  const kind = kindOfHost(host)
  if (kind === undefined || mayDial(kind, allowPrivateNetwork)) return
  const way = mayDial(kind, true) ? '; say `allowPrivateNetwork: true` if that is meant' : ''
  problem(path, `${host} is a ${kind} address${way}`)
}
