/** What a run of tests said, in figures and in words. */
export interface Summary {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** Why something was skipped → its names. */
  readonly skips: ReadonlyMap<string, readonly string[]>
}

/** A directive is four capitals: a skip, or what is still to be done. */
const POINT = /^(not )?ok\b(?: \d+)?(?: - (.*?))?(?: # (?:time=\S+|([A-Z]{4})\b ?(.*)))?(?: \{)?$/
const TOTALS = /^# \{ total: \d+(?:, pass: (\d+))?(?:, fail: (\d+))?(?:, skip: (\d+))?(?:, todo: (\d+))? \}$/

/**
 * Reads TAP 14 line by line as tap's own reporter of that name writes it. `tell` gets one text for
 * each failure, where it happened and not again for what it is part of, with its diagnosis.
 */
export function tapReader(tell: (failure: string) => void): { line(text: string): void; end(): Summary } {
  const path: string[] = []
  const failedWithin: boolean[] = []
  const skips = new Map<string, string[]>()
  const totals = { passed: 0, failed: 0, skipped: 0 }
  let diagnosis: string[] | undefined
  let failure: string | undefined

  function flush(): void {
    if (failure !== undefined) tell([failure, ...(diagnosis ?? [])].join('\n'))
    failure = undefined
    diagnosis = undefined
  }

  function point(depth: number, failed: boolean, name: string, skip: string | undefined): void {
    const closes = path.length === depth + 1 && path[depth] === name
    const told = closes && failedWithin[depth + 1] === true
    const title = [...path.slice(0, depth), name].join(' › ')
    if (closes) {
      path.length = depth
      failedWithin.length = depth + 1
    }
    if (failed) {
      for (let i = 0; i <= depth; i++) failedWithin[i] = true
      if (!told) failure = `FAILED ${title}`
    }
    if (skip !== undefined) skips.set(skip, [...(skips.get(skip) ?? []), title])
  }

  return {
    line(text) {
      const body = text.trimStart()
      if (diagnosis !== undefined && body !== '...') {
        diagnosis.push(text)
        return
      }
      if (body === '---') {
        diagnosis = []
        return
      }
      flush()
      const depth = Math.floor((text.length - body.length) / 4)
      if (body.startsWith('# Subtest: ')) {
        path.length = depth
        path[depth] = body.slice('# Subtest: '.length)
        failedWithin.length = depth + 1
        failedWithin[depth + 1] = false
        return
      }
      const found = POINT.exec(body)
      if (found) {
        const [, not, name = '', directive, reason] = found
        const excused = directive !== undefined
        point(depth, not !== undefined && !excused, name, excused ? reason || 'no reason given' : undefined)
      }
      const counts = TOTALS.exec(text)
      if (counts) {
        totals.passed += Number(counts[1] ?? 0)
        totals.failed += Number(counts[2] ?? 0)
        // What is still to be done was not tried either.
        totals.skipped += Number(counts[3] ?? 0) + Number(counts[4] ?? 0)
      }
    },
    end() {
      flush()
      return { ...totals, skips }
    },
  }
}
