import t from 'tap'
import { apply, mutantsOf } from './mutate.ts'

const broken = (source: string) => mutantsOf(source).map((mutant) => apply(source, mutant))

t.test('each change is made where it stands, types or not', async (t) => {
  t.same(broken('const f = (a: number): boolean => a < 9'), [
    'const f = (a: number): boolean => a <= 9',
    'const f = (a: number): boolean => a < 10',
  ])
  t.same(broken('if (a as boolean) b()'), [
    'if (true as boolean) b()',
    'if (false as boolean) b()',
    'if (a as boolean) ;',
  ])
  t.same(broken('const x = !a && /^b$/.test(c)'), [
    'const x = !a || /^b$/.test(c)',
    'const x = a && /^b$/.test(c)',
    'const x = !a && /b$/.test(c)',
    'const x = !a && /^b/.test(c)',
  ])
  t.same(broken('function f(): void { throw new LocumError("a", `b`) }'), ['function f(): void { ; }'])
  t.same(broken('a.some(b)'), [';', 'a.every(b)'])
  t.same(broken('i++'), ['i--'])
})

t.test('names, imports and what is said to people are let be', async (t) => {
  t.same(broken("import { a } from 'b'"), [])
  t.same(broken("type A = 'b' | 'c'"), [])
  t.same(broken("const a = { b: c, 'd': e }"), [])
  t.same(broken('const a = new LocumError("code", "text")'), [])
  t.same(broken('throw unsendable("text")'), [';'])
  t.same(broken('timer.unref()'), [])
  t.same(broken('const A = 10_000'), [])
})
