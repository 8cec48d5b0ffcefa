import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openShell } from '../cli/kit.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/TYPES.md'), 'utf8')
const block = (language: string) =>
  new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(page)?.[1] as string

t.test('the commands of the page do what it says, with its schema and its file', async (t) => {
  const { run, json } = openShell(t)
  const folder = t.testdirName
  writeFileSync(join(folder, 'crm.json'), block('json'))
  writeFileSync(join(folder, 'locum.yaml'), block('yaml'))
  const lines = block('sh')
    .trim()
    .split('\n')
    .map((line) => line.replace('locum ', '').replace('crm.json', `${folder}/crm.json`))
  for (const line of lines) t.equal((await run(line)).code, 0, line)
  t.match((await run('type show crm')).out, /^password +Password; string; secret; needed$/m)
  t.equal((await run(`apply -f ${folder}/locum.yaml`)).code, 0)
  const fields = { baseUrl: 'https://acme.crm.example/', username: 'ada', password: 'the-password-of-nobody' }
  const entered = await json('credential set crm --for shared', { input: JSON.stringify(fields) })
  t.match(entered, { fields: ['baseUrl', 'username', 'password', 'apiVersion'] })
})

t.test('a folder as OpenFn lays it out comes in whole, each by its adaptor’s name', async (t) => {
  const { run, json } = openShell(t)
  const folder = t.testdirName
  for (const name of ['dhis2', 'Google_Sheets', 'arcgis']) {
    mkdirSync(join(folder, 'packages', name, 'node_modules', 'x'), { recursive: true })
    const properties = name === 'arcgis' ? {} : { key: { type: 'string' } }
    const schema = JSON.stringify({ type: 'object', properties })
    writeFileSync(join(folder, 'packages', name, 'configuration-schema.json'), schema)
    writeFileSync(join(folder, 'packages', name, 'package.json'), '{}')
    writeFileSync(join(folder, 'packages', name, 'node_modules', 'x', 'configuration-schema.json'), '[]')
  }
  t.match(await run(`type import ${folder}/packages`), { code: 0, err: '3 of 3 changed.\n' })
  t.match(await run(`type import ${folder}/packages`), { code: 0, out: '', err: '0 of 3 changed.\n' })
  t.same(
    (await json('type ls')).map(({ name }: { name: string }) => name),
    ['arcgis', 'dhis2', 'google-sheets'],
  )
  t.equal((await run('type rm arcgis')).code, 0)
  t.match((await run(`type import ${folder}/packages --name x`)).err, /Several files cannot have one name/)
  t.match((await run(`type import ${folder}/nothing`)).err, /There is no schema at/)
  writeFileSync(join(folder, 'packages', 'dhis2.json'), '{ "type": "object", "properties": {} }')
  t.match(await run(`type import ${folder}/packages`), { code: 1, out: '', err: /both be called `dhis2`/ })
  t.match((await run('type show dhis2')).out, /^version +1$/m)
  writeFileSync(join(folder, 'bad.json'), '{')
  t.match((await run(`type import ${folder}/bad.json`)).err, /bad\.json is no JSON/)
  writeFileSync(join(folder, 'bad.json'), '[]')
  t.match((await run(`type import ${folder}/bad.json`)).err, /bad\.json: That is no credential type/)
})
