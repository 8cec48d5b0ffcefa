import t from 'tap'
import { RowHistory } from '../../store/row-history.ts'

type Rows = Readonly<Record<string, string | null>>
type Said = readonly [file: string, event: 'rows' | 'rows-kept' | 'start', write: number, rows?: Rows]

/** What is wrong with the rows that are there, after what the audit says of them. `read`: records before they were read. */
function faults(said: readonly Said[], there: Rows, read = said.length) {
  const lines = said.map(([file, event, write, rows], i) => {
    const record = { seq: i + 1, at: '2026-01-01T00:00:00.000Z', event, write, ...(rows ? { rows } : {}) }
    return { file, line: i + 1, text: JSON.stringify(record), record }
  })
  const ends = new Map<string, number>()
  for (const { file, text } of lines.slice(0, read)) ends.set(file, (ends.get(file) ?? 0) + text.length + 1)
  const history = new RowHistory(ends)
  for (const line of lines) history.take(line)
  return history.faults(new Map(Object.entries(there) as [string, string][]))
}

const done = (write: number, rows: Rows, file = 'a'): Said[] => [
  [file, 'rows', write, rows],
  [file, 'rows-kept', write],
]

t.test('rows that are as they were left have no fault', async (t) => {
  t.same(faults([], {}), [])
  t.same(faults(done(1, { 'keys/k': 'one' }), { 'keys/k': 'one' }), [])
  t.same(faults([...done(1, { 'keys/k': 'one' }), ...done(2, { 'keys/k': 'two' })], { 'keys/k': 'two' }), [])
  t.same(faults([...done(1, { 'keys/k': 'one' }), ...done(2, { 'keys/k': null })], {}), [])
})

t.test('a row that is not as it was left is named, with the record that says how it was', async (t) => {
  const said = [...done(1, { 'keys/k': 'one', 'keys/l': 'one' }), ...done(2, { 'keys/k': 'two' })]
  t.same(faults(said, { 'keys/k': 'one', 'keys/l': 'one' }), [
    {
      kind: 'row',
      file: 'a',
      line: 3,
      text: 'The row "k" in keys is not as it was left then: it was put back from an earlier time, or changed outside Locum.',
    },
  ])
  t.match(faults(said, { 'keys/k': 'two' }), [
    { line: 1, text: 'The row "l" in keys is not there: it was removed outside Locum.' },
  ])
  t.match(faults([...said, ...done(3, { 'keys/k': null })], { 'keys/k': 'two', 'keys/l': 'one' }), [
    {
      line: 5,
      text: 'The row "k" in keys was removed by then and is there again: it was put back outside Locum.',
    },
  ])
})

t.test(
  'a row of which no record knows is named, but for what is made before there is an audit',
  async (t) => {
    t.same(faults([], { 'site/x': 'm', 'certificates/audit-signing': 'm', 'keys/a/b': 'm' }), [
      { kind: 'row', file: 'database', text: 'The row "a/b" in keys is in no record of the audit.' },
    ])
    for (const name of ['certificates/audit-signing-2', 'my-certificates/audit-signing', 'a-site/x'])
      t.match(faults([], { [name]: 'm' }), [{ file: 'database' }], name)
  },
)

t.test('what may or may not have happened is believed either way, and nothing else is', async (t) => {
  const begun: Said[] = [...done(1, { 'keys/k': 'one' }), ['a', 'rows', 2, { 'keys/k': 'two' }]]
  t.same(faults(begun, { 'keys/k': 'one' }), [])
  t.same(faults(begun, { 'keys/k': 'two' }), [])
  t.match(faults(begun, { 'keys/k': 'three' }), [{ line: 1 }])
  t.match(faults(begun, {}), [{ line: 1 }])
  const first: Said[] = [['a', 'rows', 1, { 'keys/k': 'one' }]]
  t.same(faults(first, {}), [], 'it may never have been there')
  t.same(faults(first, { 'keys/k': 'one' }), [])
  t.match(faults(first, { 'keys/k': 'two' }), [{ line: 1 }])
})

t.test('what became known behind the reading of the rows may not have happened by then', async (t) => {
  const said = [...done(1, { 'keys/k': 'one' }), ...done(2, { 'keys/k': 'two' })]
  t.same(faults(said, { 'keys/k': 'one' }, 3), [])
  t.match(faults(said, { 'keys/k': 'one' }, 4), [{ line: 3 }])
  t.same(faults(done(1, { 'keys/k': 'one' }), {}, 0), [])
})

t.test(
  'transactions of several processes count in the order of their numbers, each by its own word',
  async (t) => {
    const said: Said[] = [
      ['b', 'rows', 2, { 'keys/k': 'two' }],
      ['b', 'rows-kept', 2],
      ['a', 'rows', 1, { 'keys/k': 'one' }],
      ['a', 'rows-kept', 1],
    ]
    t.same(faults(said, { 'keys/k': 'two' }), [])
    t.match(faults(said, { 'keys/k': 'one' }), [{ file: 'b', line: 1 }])
    const other: Said[] = [
      ...done(1, { 'keys/k': 'one' }),
      ['a', 'rows', 2, { 'keys/k': 'two' }],
      ['b', 'rows-kept', 2],
    ]
    t.same(faults(other, { 'keys/k': 'one' }), [], 'another file says nothing of it')
  },
)

t.test('records of other events, and what is no list of rows, say nothing of rows', async (t) => {
  t.same(
    faults(
      [
        ['a', 'start', 1, { 'keys/k': 'one' }],
        ['a', 'rows', 2],
      ],
      {},
    ),
    [],
  )
  t.same(faults([['a', 'rows', 3, null as never]], {}), [])
  t.match(faults([['a', 'start', 1, { 'keys/k': 'one' }]], { 'keys/k': 'one' }), [{ file: 'database' }])
})
