import t from 'tap'
import { scopeOfHost } from '../../auth-methods/aws/scope.ts'

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
    t.same({ ...scopeOfHost(host) }, { ...(service && { service }), ...(region && { region }) }, host)
})
