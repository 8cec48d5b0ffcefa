import t from 'tap'
import { tapReader } from '../kit/tap-reader.ts'

function read(text: string) {
  const failures: string[] = []
  const reader = tapReader((failure) => failures.push(failure))
  for (const line of text.split('\n')) reader.line(line)
  return { failures, ...reader.end() }
}

const MIXED = `TAP version 14
1..4
# Subtest: tests/a.test.ts
    # Subtest: one
        ok 1 - holds
        1..1
    ok 1 - one # time=8.098ms
    
    ok 2 - two # SKIP no tool
    # Subtest: three
        not ok 1 - should be equal
          ---
          diff: |
            not ok 9 - is only quoted
            -2
            +1
          ...
        
        # Subtest: deep
            ok 1 - because # SKIP
            1..1
        ok 2 - deep # time=5.99ms
        
        1..2
    not ok 3 - three # time=58.548ms
      ---
      at: somewhere
      ...
    
    1..3
not ok 1 - tests/a.test.ts # time=102.122ms
  ---
  exitCode: 1
  ...

# Subtest: tests/b.test.ts
    ok 1 - holds
    1..1
not ok 2 - tests/b.test.ts # time=692.962ms
  ---
  exitCode: 3
  ...

ok 3 - tests/c.test.ts # SKIP no tool
not ok 4 - timeout!
  ---
  expired: tests/e.test.ts
  ...

# { total: 8, pass: 2, fail: 3, skip: 3 }
# time=5189.255ms`

t.test('each failure is told once, where it happened, with its diagnosis', async (t) => {
  const { failures } = read(MIXED)
  t.equal(failures.length, 3)
  t.match(failures[0], /^FAILED tests\/a\.test\.ts › three › should be equal\n.*-2\n.*\+1$/s)
  t.match(failures[1], /^FAILED tests\/b\.test\.ts\n {2}exitCode: 3$/)
  t.match(failures[2], /^FAILED timeout!\n {2}expired: tests\/e\.test\.ts$/)
})

t.test('the figures are those of the last line', async (t) => {
  t.match(read(MIXED), { passed: 2, failed: 3, skipped: 3 })
  t.match(read('1..1\nok 1 - a\n# { total: 1, pass: 1 }'), { passed: 1, failed: 0, skipped: 0 })
  t.match(read('# { total: 3, pass: 1, todo: 2 }'), { passed: 1, skipped: 2 })
  t.match(read('1..1\nok 1 - a'), { passed: 0 }, 'a run that was cut off has passed nothing')
})

t.test('skips are gathered by their reason', async (t) => {
  t.same(Object.fromEntries(read(MIXED).skips), {
    'no tool': ['tests/a.test.ts › two', 'tests/c.test.ts'],
    'no reason given': ['tests/a.test.ts › three › deep › because'],
  })
})
