import type { Proof, Proving } from '../core/proving.ts'
import { administrators, defineOperation } from './operation.ts'
import { closed, Label, Name } from './schema.ts'

/** Tries a connection as a request of a principal's would be: what comes of it is kept, and the audit has who asked. */
export function testConnectionBy(proving: Proving) {
  return defineOperation({
    name: 'connection.test',
    summary: 'Try a connection for a principal',
    input: closed({ name: Name, as: Label }),
    who: administrators,
    subject: ({ name, as }) => `${name} for ${as}`,
    waits: true,
    run: (_context, { name, as }): Promise<Proof> => proving.connection(name, as),
  })
}
