/**
 * Mutants that change nothing which anybody could notice, each with the reason: by their file, the line as it
 * stands there, and what the line becomes.
 */
export const EQUIVALENT: readonly { file: string; line: string; becomes: string; why: string }[] = []
