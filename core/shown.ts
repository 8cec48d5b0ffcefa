/** A PEM block, or what is there of one. */
const PEM = /-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(?:-----END [A-Z0-9 ]+-----|$)/g
/** Long runs of the characters that keys and tokens are made of; a path is cut at its slashes and dots. */
const RUN = /[A-Za-z0-9+=~_-]{12,}/g
/** A piece of a key: letters and digits mixed, which words are not. */
const PIECE = /(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9+=~]{12,}/
/** What begins as the keys of well-known services do. */
const KNOWN =
  /(?<![A-Za-z0-9])(?:[srp]k_(?:live|test)|gh[opsur]|glpat|xox[abeprs]|lcm)[_-][A-Za-z0-9+/=_-]{8,}/g
/** An AWS secret key: forty characters of base64, which alone may hold slashes; a path of that length has none of the three kinds. */
const AWS =
  /(?<![A-Za-z0-9+/=])(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*[0-9])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])/g
const UUID = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi
const DIGITS = /\b\d{16,}\b/g
/** … or capitals, small letters and digits in one long run, in whatever pieces. */
const MIXED = /^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9]).{20,}$/

/**
 * A text for people in which whatever looks like a secret is `…` (R31). An error quotes what stands where
 * something else should, and that may be a key that slipped there; its place is told by line and column, or
 * by the key's name.
 */
export function withoutSecrets(text: string): string {
  const known = [PEM, KNOWN, AWS, UUID, DIGITS].reduce((rest, form) => rest.replace(form, '…'), text)
  return known.replace(RUN, (run) => (isKey(run) ? '…' : run))
}

function isKey(run: string): boolean {
  return MIXED.test(run) || run.split(/[-_]/).some((piece) => PIECE.test(piece))
}
