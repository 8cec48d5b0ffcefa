import type { X509Certificate } from 'node:crypto'
import type { ExportFormat, ExportOptions, ExportWhich } from '../core/ca.ts'
import { LocumError } from '../core/errors.ts'
import type { Authority } from './authority.ts'
import { truststore } from './pkcs12.ts'

/** What Java's tools try where nobody says another. It guards nothing: there is no key in the file. */
const PASSWORD = 'changeit'

/**
 * Certificates of the site's CA, alone: a key never leaves. Throws bad_request where the format takes
 * one certificate and there are two, or where there is no next one.
 */
export async function exportAuthority(
  authority: Pick<Authority, 'trusted'>,
  format: ExportFormat,
  { which = 'all', password = PASSWORD }: ExportOptions = {},
): Promise<Buffer> {
  const chosen = choose(authority.trusted, which)
  if (format === 'pem') return Buffer.from(chosen.join(''))
  if (format === 'p12') return truststore(chosen, password)
  if (chosen.length > 1) {
    throw new LocumError(
      'bad_request',
      'DER holds one certificate, and one CA is taking over from another.',
      {
        hint: 'Choose with --which current or --which next; clients should trust both. PEM and PKCS #12 hold both.',
      },
    )
  }
  return (chosen[0] as X509Certificate).raw
}

function choose([current, next]: readonly X509Certificate[], which: ExportWhich): readonly X509Certificate[] {
  if (which !== 'current' && next) return which === 'next' ? [next] : [current as X509Certificate, next]
  if (which === 'next') {
    throw new LocumError('bad_request', 'No CA is waiting to take over.', {
      hint: '`locum ca rotate` makes one.',
    })
  }
  return [current as X509Certificate]
}
