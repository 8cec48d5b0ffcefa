import Type, { type TSchema } from 'typebox'
import { addTemplate, checkTemplate } from '../operations/add.ts'
import { applySent, checkSent } from '../operations/apply.ts'
import { listAudit, verifyAudit } from '../operations/audit.ts'
import { exportCa, rotateCa, showCa } from '../operations/ca.ts'
import { exportCert, listCerts, makeCert, rotateCert } from '../operations/certs.ts'
import { listConnections, showConnection } from '../operations/connections.ts'
import {
  disableCredential,
  enableCredential,
  listCredentials,
  removeCredential,
  renameCredential,
  setCredential,
  showCredential,
} from '../operations/credentials.ts'
import { explainRequest } from '../operations/explain.ts'
import { acceptCredential, declineCredential, giveCredential, listOffers } from '../operations/hand-over.ts'
import { invitePrincipal, linkPrincipalKey } from '../operations/links.ts'
import type { Operation } from '../operations/operation.ts'
import { showOwn } from '../operations/own.ts'
import {
  addPrincipal,
  disablePrincipal,
  enablePrincipal,
  listPrincipals,
  revokePrincipal,
  rotatePrincipalKey,
  showPrincipal,
} from '../operations/principals.ts'
import {
  addMember,
  addProject,
  listProjects,
  removeMember,
  removeProject,
  showProject,
} from '../operations/projects.ts'
import { listProviders, showProvider } from '../operations/providers.ts'
import { showTrustPolicy, testConnection } from '../operations/proving.ts'
import { shareCredential, unshareCredential, unuseCredential, useCredential } from '../operations/sharing.ts'
import { showSite } from '../operations/site.ts'
import { importType, listTypes, removeType, showType } from '../operations/types.ts'
import * as answers from './answers.ts'

/** Where every route begins. */
export const ROOT = '/api/v1'

// What each takes of its input is its own to say; the table holds them all.
// biome-ignore lint/suspicious/noExplicitAny: an operation's input and output are its own
type AnyOperation = Operation<any, any>

/** An operation over HTTP. What its path does not name of its input stands in the query of a GET or DELETE, else in the body. */
export interface Route {
  readonly operation: AnyOperation
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Under `ROOT`: `/principals/{id}`. */
  readonly path: string
  /** What it gives; undefined: nothing. A list goes as `{ items }`. */
  readonly answer: TSchema | undefined
  /** Of a list that is read page by page: in which order, each key once. */
  readonly keyOf?: ((item: never) => string) | undefined
  /** What gives the thing that it changes, by the path's members: its tag is what `If-Match` holds. */
  readonly shows?: AnyOperation | undefined
  /** Where what it made is from now on, filled in from its input. */
  readonly makes?: string | undefined
  /** Bytes of a body; the console's usual bound unless told. */
  readonly largest?: number
}

/** A file of configuration names tens of thousands of objects, and what it refers to comes along. */
const A_FILE = 8 * 1024 * 1024
const A_SCHEMA = 1024 * 1024

const byName = ({ name }: { name: string }) => name
const byId = ({ id }: { id: string }) => id
const bySigning = ({ name, role }: { name: string; role: string }) => `${name} ${role === 'signs' ? 0 : 1}`

const many = (answer: TSchema) => Type.Array(answer)

type More = Omit<Partial<Route>, 'operation' | 'method' | 'path' | 'answer'>

function get(path: string, operation: AnyOperation, answer: TSchema, more: More = {}): Route {
  return { method: 'GET', path, operation, answer, ...more }
}

function post(path: string, operation: AnyOperation, answer: TSchema, more: More = {}): Route {
  return { method: 'POST', path, operation, answer, ...more }
}

function put(path: string, operation: AnyOperation, answer: TSchema, more: More = {}): Route {
  return { method: 'PUT', path, operation, answer, ...more }
}

/** Everything that can be asked over HTTP. A new operation is one line here. */
export const ROUTES: readonly Route[] = [
  get('/me', showOwn, answers.OwnAnswer),

  get('/site', showSite, answers.SiteAnswer),

  get('/principals', listPrincipals, many(answers.PrincipalAnswer), { keyOf: byId }),
  post('/principals', addPrincipal, answers.GivenKeyAnswer, { makes: '/principals/{id}' }),
  post('/principals/invite', invitePrincipal, answers.GivenLinkAnswer, { makes: '/principals/{id}' }),
  get('/principals/{id}', showPrincipal, answers.PrincipalAnswer),
  post('/principals/{id}/rotate-key', rotatePrincipalKey, answers.GivenKeyAnswer, { shows: showPrincipal }),
  post('/principals/{id}/link-key', linkPrincipalKey, answers.GivenLinkAnswer, { shows: showPrincipal }),
  post('/principals/{id}/disable', disablePrincipal, answers.PrincipalRecordAnswer, { shows: showPrincipal }),
  post('/principals/{id}/enable', enablePrincipal, answers.PrincipalRecordAnswer, { shows: showPrincipal }),
  post('/principals/{id}/revoke', revokePrincipal, answers.RevokedAnswer, { shows: showPrincipal }),

  get('/connections', listConnections, many(answers.ConnectionAnswer), { keyOf: byName }),
  get('/connections/{name}', showConnection, answers.ConnectionAnswer),
  post('/connections/{name}/test', testConnection, answers.ProofAnswer),

  get('/credentials', listCredentials, many(answers.CredentialAnswer), { keyOf: byId }),
  post('/credentials', setCredential, answers.CredentialAnswer),
  get('/credentials/{id}', showCredential, answers.CredentialAnswer),
  post('/credentials/{id}/disable', disableCredential, answers.CredentialAnswer, { shows: showCredential }),
  post('/credentials/{id}/enable', enableCredential, answers.CredentialAnswer, { shows: showCredential }),
  post('/credentials/{id}/rename', renameCredential, answers.CredentialAnswer, { shows: showCredential }),
  post('/credentials/{id}/share', shareCredential, answers.CredentialAnswer, { shows: showCredential }),
  post('/credentials/{id}/unshare', unshareCredential, answers.UnsharedAnswer, { shows: showCredential }),
  post('/credentials/{id}/use', useCredential, answers.CredentialAnswer),
  post('/credentials/{id}/unuse', unuseCredential, answers.RemovedAnswer),
  post('/credentials/{id}/give', giveCredential, answers.OfferAnswer, { shows: showCredential }),
  remove('/credentials/{id}', removeCredential, answers.RemovedAnswer, showCredential),
  get('/offers', listOffers, many(answers.OfferAnswer), { keyOf: byId }),
  post('/offers/{id}/accept', acceptCredential, answers.CredentialAnswer),
  post('/offers/{id}/decline', declineCredential, answers.RemovedAnswer),

  get('/projects', listProjects, many(answers.ProjectAnswer), { keyOf: byName }),
  post('/projects', addProject, answers.ProjectAnswer, { makes: '/projects/{name}' }),
  get('/projects/{name}', showProject, answers.ProjectAnswer),
  remove('/projects/{name}', removeProject, answers.ProjectAnswer),
  put('/projects/{project}/members/{id}', addMember, answers.ProjectAnswer),
  remove('/projects/{project}/members/{id}', removeMember, answers.ProjectAnswer),

  get('/providers', listProviders, many(answers.ProviderAnswer), { keyOf: byName }),
  get('/providers/{name}', showProvider, answers.ProviderAnswer),
  get('/providers/{name}/trust-policy', showTrustPolicy, answers.TrustAnswer),

  get('/types', listTypes, many(answers.TypeAnswer), { keyOf: byName }),
  get('/types/{name}', showType, answers.TypeAnswer),
  put('/types/{name}', importType, answers.ImportedAnswer, { shows: showType, largest: A_SCHEMA }),
  remove('/types/{name}', removeType, undefined, showType),

  get('/certs', listCerts, many(answers.CertAnswer), { keyOf: bySigning }),
  post('/certs', makeCert, many(answers.CertAnswer), { makes: '/certs/{name}' }),
  get('/certs/{name}', exportCert, many(answers.CertAnswer)),
  post('/certs/{name}/rotate', rotateCert, answers.CertRotationAnswer),

  get('/ca', showCa, many(answers.CaAnswer)),
  post('/ca/export', exportCa, answers.ExportedCaAnswer),
  post('/ca/rotate', rotateCa, answers.CaRotationAnswer),

  post('/templates/{template}', addTemplate, answers.AddedAnswer),
  post('/templates/{template}/check', checkTemplate, answers.NamedAnswer),
  post('/explain', explainRequest, answers.ExplanationAnswer),
  post('/apply', applySent, answers.ChangesAnswer, { largest: A_FILE }),
  post('/check', checkSent, answers.ChangesAnswer, { largest: A_FILE }),

  get('/audit', listAudit, answers.AuditAnswer),
  get('/audit/verify', verifyAudit, answers.FaultsAnswer),
]

function remove(
  path: string,
  operation: AnyOperation,
  answer: TSchema | undefined,
  shows?: AnyOperation,
): Route {
  return { method: 'DELETE', path, operation, answer, shows }
}

/** The members of an input that a path names, in order. */
export function namedIn(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string)
}

/** A path with its members filled in. */
export function pathWith(path: string, input: Readonly<Record<string, unknown>>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(input[name])))
}

/** The members of an input that stand elsewhere than in the path. */
export function outsidePath(
  { path }: Pick<Route, 'path'>,
  input: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const named = namedIn(path)
  return Object.fromEntries(Object.entries(input).filter(([name]) => !named.includes(name)))
}
