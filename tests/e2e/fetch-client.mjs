const { URL: url, PLACEHOLDER, KEY } = process.env
const headers = { Authorization: PLACEHOLDER, ...(KEY && { 'Locum-Authorization': `Bearer ${KEY}` }) }
const response = await fetch(url, { headers, signal: AbortSignal.timeout(10_000) })
const echo = response.headers.get('x-echo') ?? ''
process.stdout.write(JSON.stringify({ status: response.status, body: await response.text(), echo }))
