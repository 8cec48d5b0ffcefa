// Calls AWS by its SDK for JavaScript, as a program does that knows of no Locum, but for where it is.
import { Agent } from 'node:https'
import { Readable } from 'node:stream'
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb'
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'

const { ENDPOINT = '' } = process.env
const client = (Client, service) =>
  new Client({
    endpoint: ENDPOINT.replace('{service}', service),
    region: 'eu-west-1',
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler: { httpsAgent: new Agent({ proxyEnv: process.env }) },
  })

const s3 = client(S3Client, 's3')
const at = { Bucket: 'bucket', Key: "it's (a) k+y" }
const text = async (command) => (await s3.send(command)).Body.transformToString()
await s3.send(new PutObjectCommand({ ...at, Body: 'hello' }))
const whole = await text(new GetObjectCommand(at))
const range = await text(new GetObjectCommand({ ...at, Range: 'bytes=1-2' }))
// A stream: its checksum comes in a trailer.
const pieces = Array.from({ length: 64 }, () => Buffer.alloc(16_384, 'x'))
await s3.send(
  new PutObjectCommand({ ...at, Key: 'streamed', Body: Readable.from(pieces), ContentLength: 64 * 16_384 }),
)
const streamed = (await text(new GetObjectCommand({ ...at, Key: 'streamed' }))).length
const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...at, Key: 'parts' }))
const parts = []
for (const [i, Body] of ['one ', 'two'].entries()) {
  const { ETag } = await s3.send(
    new UploadPartCommand({ ...at, Key: 'parts', UploadId, PartNumber: i + 1, Body }),
  )
  parts.push({ ETag, PartNumber: i + 1 })
}
await s3.send(
  new CompleteMultipartUploadCommand({ ...at, Key: 'parts', UploadId, MultipartUpload: { Parts: parts } }),
)
const joined = await text(new GetObjectCommand({ ...at, Key: 'parts' }))
const { Item } = await client(DynamoDBClient, 'dynamodb').send(
  new GetItemCommand({ TableName: 'table', Key: { id: { S: 'k' } } }),
)
const { Account } = await client(STSClient, 'sts').send(new GetCallerIdentityCommand({}))
process.stdout.write(JSON.stringify({ whole, range, streamed, joined, item: Item, account: Account }))
