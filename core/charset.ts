import { LocumError } from './errors.ts'
import type { HeadFields } from './heads.ts'
import { decodeName } from './percent.ts'

/**
 * Encodings that read ASCII as it stands, whatever is in front of it. In another (UTF-16, EBCDIC, GBK) a value would be read as a text
 * of which nobody finds the echo, and servers do let a client choose: for forms and queries by the
 * Content-Type of the request, for a part by its own, for all fields by one of them.
 */
const TRANSPARENT = 'utf-?8|(?:us-)?ascii|iso-8859-[0-9]{1,2}|windows-125[0-9]|koi8-[ru]'
const NAME = new RegExp(`^(?:${TRANSPARENT})?$`, 'i')
const PARAMETER = new RegExp(`\\bcharset=("?)(?:${TRANSPARENT})\\1(?=[ \\t]*(?:;|$))`, 'gi')

/** RFC 7578 §4.6 */
export const CHARSET_FIELD = '_charset_'

/** Whether a Content-Type leaves ASCII as it stands, however its parameters are read. */
export function leavesAscii(contentType: string): boolean {
  return !/charset/i.test(contentType.replace(PARAMETER, ''))
}

/** Throws bad_request where a Content-Type asks to be read in an encoding that hides what is put in. */
export function checkCharset({ names, values }: HeadFields): void {
  for (let i = 0; i < names.length; i++)
    if (names[i] === 'content-type' && !leavesAscii(values[i] as string)) throw hidden()
}

/** As `checkCharset`, of the content of a `_charset_` field. */
export function checkCharsetField(content: string): void {
  if (!NAME.test(content.trim())) throw hidden()
}

/** As `checkCharsetField`, where it stands in a query or a form. */
export function checkCharsetParameter(value: string): void {
  checkCharsetField(decodeName(value))
}

function hidden(): LocumError {
  return new LocumError(
    'bad_request',
    'The request names an encoding in which what is put into it would be read as something else.',
    { hint: 'Send it in UTF-8, and say charset=utf-8 or nothing.' },
  )
}
