import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { openShell } from '../cli/kit.ts'
import { NO_BOTOCORE } from '../kit/aws.ts'
import { askBy } from '../kit/raw.ts'
import { startSite } from '../kit/site.ts'
import { BASE, STS_HOST, startSts } from '../kit/sts.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/methods/aws.md'), 'utf8')
const files = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text as string)
const S3 = 's3.eu-west-1.amazonaws.com'

interface Example {
  providers: Record<string, unknown>[]
  connections: Record<string, unknown>[]
}

t.test('the files of the page do what it says', { skip: NO_BOTOCORE ?? false }, async (t) => {
  const sts = await startSts(t, [S3, `*.${S3}`, 'dynamodb.eu-west-1.amazonaws.com'])
  const { aws } = sts
  for (const text of files) {
    // Only where it leads is another here, and who vouches for it.
    const example = parse(text.replaceAll('.amazonaws.com', `.amazonaws.com:${aws.port}`)) as Example
    for (const provider of example.providers) {
      provider.credentials = { ...BASE }
      if (provider.method !== 'aws-role') continue
      const stsEndpoint = `https://${STS_HOST}:${aws.port}`
      Object.assign(provider, { stsEndpoint, ca: aws.ca, allowPrivateNetwork: true })
      sts.roles.push({ arn: String(provider.roleArn), externalIds: undefined })
    }
    for (const one of example.connections) Object.assign(one, { ca: aws.ca, allowPrivateNetwork: true })
    const site = await startSite(t, example, { lookup: aws.lookup })
    const name = String(example.connections[0]?.name)
    const goal = { authority: `${S3}:${aws.port}`, origin: `https://${S3}:${aws.port}`, name }
    const { status, body } = await askBy(t, site, 'connect', goal, { path: '/bucket?list-type=2' })
    t.equal(status, 200, `${name}: ${body} ${aws.refused.join()}`)
  }
  t.match(sts.asked, [{ 'Tags.member.1.Value': 'sales', RoleSessionName: /\+ada$/ }])
})

t.test('the command of the page prints what it says', async (t) => {
  const [line = ''] = [...page.matchAll(/^locum (provider .*)$/gm)].map(([, found]) => found as string)
  const shell = openShell(t)
  const file = `${shell.data}.yaml`
  shell.env.AWS_ID = BASE.accessKeyId
  shell.env.AWS_SECRET = BASE.secretAccessKey
  writeFileSync(file, (files[1] as string).replace(/ +roleArn: .*\n/, ''))
  t.equal((await shell.run(`apply -f ${file}`)).code, 0, 'without a role')
  const { out } = await shell.run(line)
  const site = await shell.json('site show')
  t.match(out, site.id)
  t.match(out, /^aws iam create-role /m)
})
