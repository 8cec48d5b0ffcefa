import t from 'tap'
import { findScope } from '../../auth-methods/aws/scope.ts'
import { awsHosts, NO_BOTOCORE } from '../kit/aws.ts'

/** As botocore called them until AWS did otherwise. */
const RENAMED = ['awsssooidc sso-oauth', 'execute-api iot']

t.test('a host tells region and service, as far as it does', async (t) => {
  for (const [host, region, service] of [
    ['s3.eu-west-1.amazonaws.com', 'eu-west-1', 's3'],
    ['bucket.s3.eu-west-1.amazonaws.com', 'eu-west-1', 's3'],
    ['my.us-east-1.bucket.s3.eu-west-1.amazonaws.com:443', 'eu-west-1', 's3'],
    ['eu-central-1.s3.amazonaws.com', 'us-east-1', 's3'],
    ['bucket.s3.amazonaws.com', 'us-east-1', 's3'],
    ['bucket.s3.dualstack.ap-southeast-2.amazonaws.com', 'ap-southeast-2', 's3'],
    ['s3-eu-west-1.amazonaws.com', 'eu-west-1', 's3'],
    ['bucket.s3-fips.us-gov-west-1.amazonaws.com', 'us-gov-west-1', 's3'],
    ['bucket.s3-accelerate.amazonaws.com', undefined, 's3'],
    ['name-123456789012.s3-accesspoint.eu-west-1.amazonaws.com', 'eu-west-1', 's3'],
    ['bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com', 'us-east-1', 's3'],
    ['vpce-1a2b3c4d-5e6f.execute-api.us-east-1.vpce.amazonaws.com', 'us-east-1', 'execute-api'],
    ['b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com', 'us-east-1', 's3express'],
    ['s3express-control.us-east-1.amazonaws.com', 'us-east-1', 's3express'],
    ['bucket.s3-external-1.amazonaws.com', 'us-east-1', 's3'],
    ['s3.eusc-de-east-1.amazonaws.eu', 'eusc-de-east-1', 's3'],
    ['a1b2c3d4e5-ats.iot.eu-west-1.amazonaws.com', 'eu-west-1', 'iotdata'],
    ['dynamodb.us-east-2.amazonaws.com', 'us-east-2', 'dynamodb'],
    ['streams.dynamodb.us-east-2.amazonaws.com', 'us-east-2', 'dynamodb'],
    ['dynamodb.us-east-1.api.aws', 'us-east-1', 'dynamodb'],
    ['sts.amazonaws.com', 'us-east-1', 'sts'],
    ['sts.cn-north-1.amazonaws.com.cn', 'cn-north-1', 'sts'],
    ['iam.amazonaws.com', 'us-east-1', 'iam'],
    ['abc123.execute-api.eu-west-1.amazonaws.com', 'eu-west-1', 'execute-api'],
    ['abc.lambda-url.eu-west-1.on.aws', 'eu-west-1', 'lambda'],
    ['search-x-1.eu-west-1.es.amazonaws.com', 'eu-west-1', 'es'],
    ['eu-west-1.queue.amazonaws.com', 'eu-west-1', 'sqs'],
    ['email.eu-west-1.amazonaws.com', 'eu-west-1', 'ses'],
    ['bedrock-runtime.us-west-2.amazonaws.com', 'us-west-2', 'bedrock'],
    ['api.ecr.eu-west-1.amazonaws.com', 'eu-west-1', 'ecr'],
    ['mediatailor.amazonaws.com', undefined, 'mediatailor'],
    ['s3.eu-west-1.amazonaws.com.evil.example', undefined, undefined],
    ['localhost:9000', undefined, undefined],
  ] as const)
    t.same(findScope({}, undefined, host), { region, service }, host)
})

t.test(
  'botocore says the same of every service in every partition',
  { skip: NO_BOTOCORE ?? false },
  async (t) => {
    const hosts = awsHosts([
      'eu-west-1',
      'us-gov-west-1',
      'cn-north-1',
      'eusc-de-east-1',
      'us-iso-east-1',
      'us-isob-east-1',
      'us-isof-south-1',
      'eu-isoe-west-1',
    ])
    t.ok(hosts.length > 1000)
    const otherwise = hosts.filter(([host, region, service]) => {
      const found = findScope({}, undefined, host)
      return (
        found.region !== region ||
        (found.service !== service && !RENAMED.includes(`${service} ${found.service}`))
      )
    })
    t.same(otherwise, [])
  },
)

t.test('a region in the host is stronger than the client’s, a usual one is weaker', async (t) => {
  const client = { region: 'eu-north-1', service: 's3' }
  t.equal(findScope({}, client, 's3.eu-west-1.amazonaws.com').region, 'eu-west-1')
  t.equal(findScope({}, client, 'bucket.s3.amazonaws.com').region, 'eu-north-1')
  t.equal(findScope({ region: 'home-1' }, client, 's3.eu-west-1.amazonaws.com').region, 'home-1')
  t.equal(findScope({}, { service: 'sts' }, 's3.eu-west-1.amazonaws.com').service, 'sts')
  t.equal(findScope({ service: 'sqs' }, client, 's3.eu-west-1.amazonaws.com').service, 'sqs')
})
