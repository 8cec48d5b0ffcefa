import { methods } from '../../auth-methods/index.ts'
import type { AuthMethod, AuthMethods, ProviderRules } from '../../core/auth-method.ts'
import { type Destination, parseDestination } from '../../core/destination.ts'
import { type Code, LocumError } from '../../core/errors.ts'
import { compileRoute, type Route } from '../../core/route.ts'
import { compileSlots, type SlotRules } from '../../core/slots.ts'
import type { Caller, Connection, Credential, Principal, Slots } from '../../core/words.ts'

/** The error that the work throws; fails where it throws none, or one of another kind. */
export function refusal(work: () => unknown): LocumError {
  try {
    work()
  } catch (thrown) {
    if (thrown instanceof LocumError) return thrown
    throw thrown
  }
  throw new Error('nothing was thrown')
}

/** The code of the error that the work throws; `fine` where it throws none. */
export function verdict(work: () => unknown): Code | 'fine' {
  try {
    work()
    return 'fine'
  } catch (thrown) {
    if (thrown instanceof LocumError) return thrown.code
    throw thrown
  }
}

/** An exact destination. */
export const to: (text: string) => Destination = parseDestination

export function makePrincipal(more: Partial<Principal> = {}): Principal {
  return { id: 'ada', kind: 'user', projects: [], admin: false, via: 'key', ...more }
}

export function makeCaller(more: Partial<Principal> = {}, sessionId = 'session-1'): Caller {
  return { principal: makePrincipal(more), keyHash: 'ab', sessionId }
}

export function makeConnection(more: Partial<Connection> = {}): Connection {
  return {
    name: 'crm',
    destinations: [to('https://crm.example')],
    ownedWildcard: false,
    method: 'api-key',
    methodConfig: {},
    source: 'shared',
    fallback: [],
    allow: {},
    headers: [],
    corsOrigins: [],
    allowPrivateNetwork: false,
    allowPlaintext: false,
    version: 1,
    ...more,
  }
}

export function makeRoute(more: Partial<Connection> = {}, known: AuthMethods = methods): Route {
  return compileRoute(makeConnection(more), known)
}

/** A method with providers. */
export function methodWith(
  provider: Partial<ProviderRules> = {},
  more: Partial<AuthMethod> = {},
): AuthMethod {
  const rules = { required: true, configKeys: [], configSchema: {}, fields: {}, endpoints: () => [] }
  return {
    id: 'test',
    title: 'Test',
    fields: { key: { title: 'Key', secret: true, required: true } },
    configKeys: [],
    provider: { ...rules, ...provider },
    values: () => ({ values: {}, plain: [] }),
    ...more,
  }
}

/** Slots as a connection names them, with stand-ins. */
export function slotsOf(slots?: Slots, placeholders?: Connection['placeholders']): SlotRules {
  return compileSlots(makeConnection({ slots, placeholders }))
}

export function makeCredential(more: Partial<Credential> = {}): Credential {
  return {
    id: 'cred_1',
    name: 'one',
    owner: 'site',
    audience: ['https://crm.example'],
    fieldNames: ['apiKey'],
    disabled: false,
    projects: [],
    version: 1,
    sealed: { apiKey: new Uint8Array() },
    createdAt: 0,
    changedAt: 0,
    ...more,
  }
}
