import { createHash, randomUUID } from 'node:crypto'
import type { AwsCall, Said } from './aws.ts'

/** As much of AWS as its clients need to be served: what they wrote, they can read. */
export function makeServices(): (call: AwsCall) => Said {
  const objects = new Map<string, Buffer>()
  const uploads = new Map<string, Map<number, Buffer>>()
  return (call) => {
    const { service } = call.scope
    if (service === 's3') return s3(call, objects, uploads)
    if (service === 'dynamodb') return dynamodb(call)
    if (service === 'lambda') return { headers: JSON_TYPE, body: call.body.toString() || '{}' }
    return query(call)
  }
}

const XML = { 'Content-Type': 'application/xml' }
const JSON_TYPE = { 'Content-Type': 'application/json' }
const etag = (body: Buffer) => `"${createHash('md5').update(body).digest('hex')}"`

function s3(
  { method, host, path, query, headers, body }: AwsCall,
  objects: Map<string, Buffer>,
  uploads: Map<string, Map<number, Buffer>>,
): Said {
  // Virtual hosts: bucket.s3.region…; else /bucket/key.
  const bucket = /^(.+)\.s3\./.exec(host)?.[1]
  const key = bucket === undefined ? path.slice(1) : `${bucket}${path}`
  if (method === 'POST' && query.has('uploads')) {
    const id = randomUUID()
    uploads.set(id, new Map())
    return {
      headers: XML,
      body: `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    }
  }
  const upload = uploads.get(query.get('uploadId') ?? '')
  if (method === 'PUT') {
    if (upload) upload.set(Number(query.get('partNumber')), body)
    else objects.set(key, body)
    return { headers: { ETag: etag(body) } }
  }
  if (method === 'POST' && upload) {
    const parts = [...upload].sort(([a], [b]) => a - b).map(([, part]) => part)
    objects.set(key, Buffer.concat(parts))
    return {
      headers: XML,
      body: '<CompleteMultipartUploadResult><ETag>"all"</ETag></CompleteMultipartUploadResult>',
    }
  }
  if (query.has('list-type')) {
    const listed = [...objects].map(([name, { length }]) => {
      const shown = name.slice(name.indexOf('/') + 1)
      return `<Contents><Key>${shown}</Key><Size>${length}</Size></Contents>`
    })
    return {
      headers: XML,
      body: `<ListBucketResult><KeyCount>${listed.length}</KeyCount>${listed.join('')}</ListBucketResult>`,
    }
  }
  const found = objects.get(key)
  if (!found) return { status: 404, headers: XML, body: '<Error><Code>NoSuchKey</Code></Error>' }
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '')
  if (!range) return { headers: { ETag: etag(found), 'Content-Length': String(found.length) }, body: found }
  const [, from = '', to = ''] = range
  const last = to === '' ? found.length - 1 : Number(to)
  const piece = found.subarray(Number(from), last + 1)
  const where = `bytes ${from}-${last}/${found.length}`
  return { status: 206, headers: { 'Content-Range': where, ETag: etag(found) }, body: piece }
}

function dynamodb({ headers, body }: AwsCall): Said {
  const target = String(headers['x-amz-target'])
  const asked = JSON.parse(body.toString())
  const said = target.endsWith('.GetItem') ? { Item: asked.Key } : {}
  const text = JSON.stringify(said)
  return { headers: { ...JSON_TYPE, 'Content-Type': 'application/x-amz-json-1.0' }, body: text }
}

/** Services with parameters in a form, and answers in XML. */
function query({ body }: AwsCall): Said {
  const asked = new URLSearchParams(body.toString())
  const action = asked.get('Action') ?? ''
  const md5 = createHash('md5')
    .update(asked.get('MessageBody') ?? '')
    .digest('hex')
  const result = {
    GetCallerIdentity:
      '<Account>123456789012</Account><Arn>arn:aws:iam::123456789012:user/locum</Arn><UserId>AIDA</UserId>',
    SendMessage: `<MessageId>m-1</MessageId><MD5OfMessageBody>${md5}</MD5OfMessageBody>`,
    Publish: '<MessageId>m-2</MessageId>',
  }[action]
  return {
    headers: XML,
    body: `<${action}Response><${action}Result>${result}</${action}Result></${action}Response>`,
  }
}
