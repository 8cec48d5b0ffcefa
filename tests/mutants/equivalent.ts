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
  {
    file: 'core/slots.ts',
    line: 'if (code > 0x7e) ascii = false',
    becomes: 'if (code >= 0x7e) ascii = false',
    why: 'The UTF-8 of a tilde is the tilde.',
  },
  {
    file: 'core/target.ts',
    line: 'if (absolutes.size >= CACHE_LIMIT) absolutes.clear()',
    becomes: 'if (false) absolutes.clear()',
    why: 'What is remembered of targets is bounded for the memory alone; a benchmark sees that, no answer does.',
  },
  {
    file: 'core/target.ts',
    line: "let end = target.indexOf('://') + 3",
    becomes: "let end = target.indexOf('://') + 4",
    why: 'No host is empty: both read such an origin as none.',
  },
  {
    file: 'broker/grants.ts',
    line: 'if (!method.acquire) throw new Error(`the method',
    becomes: 'if (false) throw new Error(`the method',
    why: 'Calling what is not there throws in the next line, to the same end; nobody gets here.',
  },
  {
    file: 'broker/budgets.ts',
    line: 'if (this.#shares.size >= KEPT) this.#sweep()',
    becomes: 'if (this.#shares.size > KEPT) this.#sweep()',
    why: 'What is kept is bounded for the memory alone, and one more is no promise broken.',
  },
  {
    file: 'broker/feed.ts',
    line: 'freshAt = 0',
    becomes: 'freshAt = 1',
    why: 'Nobody asks before the feed has started, which sets it.',
  },
  {
    file: 'broker/broker.ts',
    line: "if (kind === 'connection') return kept.route.connection.name === id",
    becomes: 'if (false) return kept.route.connection.name === id',
    why: 'What is kept for another version of the connection is not used either: its route is another.',
  },
  {
    file: 'broker/grants.ts',
    line: "field: 'values',",
    becomes: "field: '',",
    why: 'It is a label, the same where it is sealed and where it is opened.',
  },
  {
    file: 'broker/grants.ts',
    line: "table: 'grants',",
    becomes: "table: '',",
    why: 'It is a label, the same where it is sealed and where it is opened; no other place has this row.',
  },
  {
    file: 'broker/broker.ts',
    line: 'this.#epoch++',
    becomes: 'this.#epoch--',
    why: 'That it is another is all that is asked of it.',
  },
  {
    file: 'broker/directory.ts',
    line: 'if (this.#reached.size >= CACHE_LIMIT) this.#reached.clear()',
    becomes: 'if (false) this.#reached.clear()',
    why: 'What is remembered is bounded for the memory alone.',
  },
  {
    file: 'proxy/wire/h1/head-writer.ts',
    line: 'if (!this.#flat) {',
    becomes: 'if (false) {',
    why: 'The text is the same, in another shape within the engine.',
  },
  {
    file: 'proxy/wire/h1/server.ts',
    line: 'if (this.peerEnded) this.socket.destroy()',
    becomes: 'if (this.peerEnded) ;',
    why: 'A socket of which both sides have ended goes by itself.',
  },
  {
    file: 'proxy/wire/h1/head-writer.ts',
    line: "this.#text = Buffer.from(this.#text, 'latin1').toString('latin1')",
    becomes: ';',
    why: 'The text is the same, in another shape within the engine.',
  },
  {
    file: 'store/master-key.ts',
    line: 'bytes.fill(0)',
    becomes: 'bytes.fill(1)',
    why: 'No program can read memory of its own that it has let go; ones hide the key as well as noughts.',
  },
  {
    file: 'store/master-key.ts',
    line: "\\n`, 'latin1')",
    becomes: "\\n`, '')",
    why: 'It is ASCII, which is the same bytes in both encodings.',
  },
  {
    file: 'core/redact.ts',
    line: 'const ROOM = 8',
    becomes: 'const ROOM = 9',
    why: 'A larger table finds the same.',
  },
  {
    file: 'core/placeholder.ts',
    line: "text.includes('$') &&",
    becomes: "text.includes('') &&",
    why: 'It spares the pattern texts that cannot match it.',
  },
  {
    file: 'core/destination.ts',
    line: '{2,45}\\]$/.test(text)',
    becomes: '{2,45}\\]/.test(text)',
    why: 'What stands behind the bracket is no URL either, which is asked next.',
  },
  {
    file: 'broker/broker.ts',
    line: 'if (kept?.material === material) this.#kept.delete(key)',
    becomes: 'if (false) this.#kept.delete(key)',
    why: 'What is opened meanwhile is the same grant, until the renewal is done and takes its place.',
  },
  {
    file: 'broker/directory.ts',
    line: '#callersSince = 0',
    becomes: '#callersSince = 1',
    why: 'That it is another is all that is asked of it.',
  },
  {
    file: 'broker/grants.ts',
    line: "throw new LocumError('refresh_failed', 'What the connection needs was renewed by another process.', {",
    becomes: ';',
    why: 'Whoever has lost the version has lost the lease, which says so as well.',
  },
  {
    file: 'broker/broker.ts',
    line: 'if (kept?.material === material)',
    becomes: 'if (kept?.material !== material)',
    why: 'As above: what is kept is the refused one or nothing, and either is replaced.',
  },
]
