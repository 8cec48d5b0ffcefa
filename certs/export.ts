import type { Authority } from './authority.ts'

/** How a CA's certificate can leave: PEM for most tools, DER for Windows, Java and phones. */
export const EXPORT_FORMATS = ['pem', 'der'] as const

export type ExportFormat = (typeof EXPORT_FORMATS)[number]

/** The CA's certificate, alone: its key never leaves. */
export function exportAuthority(
  authority: Pick<Authority, 'certificatePem' | 'certificateDer'>,
  format: ExportFormat,
): Buffer {
  return format === 'pem' ? Buffer.from(authority.certificatePem) : authority.certificateDer
}
