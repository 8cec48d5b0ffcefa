import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openShell } from '../cli/kit.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/PEOPLE.md'), 'utf8')
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(([, text]) => text as string)

t.test('the commands of the page do what it says, with its file', async (t) => {
  const { run, json } = openShell(t)
  const folder = t.testdirName
  writeFileSync(join(folder, 'locum.yaml'), blocks('yaml')[0] as string)
  let id = ''
  /** What each line printed, by the line. */
  const said = new Map<string, string>()
  for (const line of blocks('sh').join('').trim().split('\n')) {
    const [, input, command] = /^(?:echo '(.*)' \| )?locum (.*)$/.exec(line) ?? []
    const words = [...(command ?? '').matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) =>
      (quoted ?? (word as string)).replace('$ID', id).replace('locum.yaml', `${folder}/locum.yaml`),
    )
    const { code, out, err } = await run(words, input === undefined ? {} : { input })
    t.equal(code, 0, `${line}: ${err}`)
    said.set(line, out)
    if (input !== undefined) id = (await json('credential ls'))[0].id
  }
  const out = (start: string) => [...said].find(([line]) => line.startsWith(`locum ${start}`))?.[1] ?? ''
  t.match(out('principal add ada'), /^https:\/\/locum\.example\.com\/key\?ticket=lcm_\w{49}\n$/)
  t.match(out('explain'), new RegExp(id))
  t.match(out('project show'), /members +ada \(editor\), ben/)
  t.match(
    out('credential offers'),
    new RegExp(`^${id}\tAda's CRM\tuser:ada\tben\thttps://crm.example.com\tnorth\t`),
  )
  t.match(out('credential show'), /owner +user:ben/)
  const [ada] = await json('principal ls')
  t.match(ada, { id: 'ada', keys: [], linkUntil: Number })
})

t.test('what the page says of leaving a project is so', async (t) => {
  const { run, json } = openShell(t)
  const folder = t.testdirName
  writeFileSync(join(folder, 'locum.yaml'), blocks('yaml')[0] as string)
  await run(`apply -f ${folder}/locum.yaml`)
  for (const line of ['principal add ada', 'principal add ben', 'project add north'])
    t.equal((await run(line)).code, 0, line)
  for (const who of ['ada', 'ben']) await run(`project member add north ${who}`)
  const input = '{"apiKey":"what-the-crm-gave-to-ada"}'
  const { id } = await json('credential set crm --for user:ada', { input })
  const explained = async () =>
    (await json('explain GET https://crm.example.com/contacts --as ben')).error?.code
  t.equal((await run(`credential share ${id} --project north`)).out, `${id} is for the members of north.\n`)
  t.equal(await explained(), 'credential_missing')
  await run(`credential use ${id} --connection crm --for user:ben`)
  t.equal(await explained(), undefined)
  t.equal((await run('project member rm north ben')).out, 'ben is in north no more.\n')
  t.equal(await explained(), 'not_allowed')
  const undone = await run(page.match(/`locum (credential unuse [^`]*)`/)?.[1]?.replace('$ID', id) ?? '')
  t.equal(undone.out, `${id} no longer serves crm for user:ben.\n`)
  t.equal(await explained(), 'credential_missing')
  t.match((await run(`credential give ${id} --to eve`)).err, /no principal `eve`/)
  t.equal((await run(`credential give ${id} --to ben`)).code, 0)
  t.equal((await run(`credential decline ${id}`)).out, `${id} stays with its owner.\n`)
  t.match((await run(`credential accept ${id} --as ben`)).err, /not any more/)
  t.equal((await run(`credential rename ${id} mine`)).out, `${id} is called mine.\n`)
  t.equal(
    (await run(`credential unshare ${id} --project north`)).out,
    `${id} is no more for the members of north.\n`,
  )
  t.match((await run('project ls')).out, /^north\tada\t-\t-\n$/)
  t.equal((await run('project rm north')).out, 'north is gone.\n')
})
