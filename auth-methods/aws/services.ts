/** What AWS calls its services and partitions in host names and in signatures (AWS General Reference, "Service endpoints and quotas"). */

/** What each partition's hosts end in, by IPv4 alone and by both, and where its services of one place are. */
export const PARTITIONS: Readonly<Record<string, string>> = {
  'amazonaws.com': 'us-east-1',
  'api.aws': 'us-east-1',
  'on.aws': 'us-east-1',
  'amazonaws.com.cn': 'cn-northwest-1',
  'api.amazonwebservices.com.cn': 'cn-northwest-1',
  'amazonaws.eu': 'eusc-de-east-1',
  'api.amazonwebservices.eu': 'eusc-de-east-1',
  'c2s.ic.gov': 'us-iso-east-1',
  'api.aws.ic.gov': 'us-iso-east-1',
  'sc2s.sgov.gov': 'us-isob-east-1',
  'api.aws.scloud': 'us-isob-east-1',
  'cloud.adc-e.uk': 'eu-isoe-west-1',
  'api.cloud-aws.adc-e.uk': 'eu-isoe-west-1',
  'csp.hci.ic.gov': 'us-isof-south-1',
  'api.aws.hci.ic.gov': 'us-isof-south-1',
}

/** Services of one place in their partition. */
export const OF_ONE_PLACE: readonly string[] = [
  'budgets',
  'cloudfront',
  'health',
  'iam',
  'organizations',
  'route53',
  'savingsplans',
  'shield',
  'sts',
  'support',
  'waf',
]

/** By the name in signatures: the ends of hosts before their region, where those are another name. */
const HOSTS: Readonly<Record<string, readonly string[]>> = {
  AWSMobileHubService: ['mobile'],
  IoTSecuredTunneling: ['api.iot-tunneling', 'api.tunneling.iot'],
  appconfig: ['appconfigdata'],
  appstream: ['appstream2'],
  appsync: ['appsync-api'],
  'aws-marketplace': [
    'agreement-marketplace',
    'deployment-marketplace',
    'discovery-marketplace',
    'marketplace',
    'metering-marketplace',
    'reporting-marketplace',
  ],
  awsssoportal: ['portal.sso'],
  'backup-storage': ['backupstorage'],
  bedrock: [
    'bedrock-agent',
    'bedrock-agent-runtime',
    'bedrock-data-automation',
    'bedrock-data-automation-runtime',
    'bedrock-runtime',
  ],
  'bedrock-agentcore': ['bedrock-agentcore-control'],
  cassandra: ['cassandra-streams'],
  chime: ['identity-chime', 'media-pipelines-chime', 'meetings-chime', 'messaging-chime', 'voice-chime'],
  cloudhsm: ['cloudhsmv2'],
  cloudsearch: ['cloudsearchdomain'],
  connect: ['contact-lens'],
  es: ['aos'],
  'execute-api': ['participant.connect'],
  forecast: ['forecastquery'],
  iotfleethub: ['api.fleethub.iot'],
  'iot-jobs-data': ['data.jobs.iot'],
  iotdata: ['data-ats.iot', 'data.ats.iot', 'data.iot'],
  ioteventsdata: ['data.iotevents'],
  ivs: ['ivsrealtime'],
  lambda: ['lambda-url'],
  lex: ['models-v2-lex', 'runtime-v2-lex'],
  memorydb: ['memory-db'],
  mgh: ['migrationhub-config'],
  mobiletargeting: ['pinpoint'],
  personalize: ['personalize-events', 'personalize-runtime'],
  s3: ['s3-accelerate', 's3-accesspoint', 's3-control', 's3-global'],
  s3express: ['s3express-control'],
  servicecatalog: ['servicecatalog-appregistry'],
  ses: ['email', 'email-smtp', 'mail-manager'],
  signer: ['data-signer'],
  'sms-voice': ['sms-voice.pinpoint'],
  sqs: ['queue'],
  'sso-oauth': ['oidc'],
}
const NAMES = new Map(Object.entries(HOSTS).flatMap(([name, hosts]) => hosts.map((host) => [host, name])))

/** What a service is called in signatures, by the labels of its host before the region. */
export function signingName(labels: readonly string[]): string | undefined {
  for (let from = 0; from < labels.length; from++) {
    const name = NAMES.get(labels.slice(from).join('.'))
    if (name !== undefined) return name
  }
  const last = labels.at(-1)
  // Each account has a host of its own: a1b2c3-ats.iot.
  if (last === 'iot' && labels.at(-2)?.endsWith('-ats')) return 'iotdata'
  // By zone: s3express-use1-az4.
  return last?.startsWith('s3express-') ? 's3express' : last
}
