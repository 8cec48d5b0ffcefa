import type { Template } from '../template.ts'
import { basic, key, keyed } from './kinds.ts'

/** What carries messages to people. */
export const messages: readonly Template[] = [
  {
    name: 'discord',
    title: 'Discord (bot)',
    keyAt: 'https://discord.com/developers/applications',
    docs: 'https://discord.com/developers/docs/reference',
    ask: key('Bot token', 'DISCORD_TOKEN'),
    ...keyed(['https://discord.com'], { Authorization: 'Bot {{$Auth.API_Key}}' }),
    probe: { path: '/api/v10/users/@me' },
  },
  {
    name: 'mailgun',
    title: 'Mailgun',
    keyAt: 'https://app.mailgun.com/settings/api_security',
    docs: 'https://documentation.mailgun.com/docs/mailgun/api-reference/authentication/',
    ask: {
      host: {
        title: 'Host: api.mailgun.net, or api.eu.mailgun.net for domains in the EU',
        default: 'api.mailgun.net',
        pattern: /^api(?:\.eu)?\.mailgun\.net$/,
        expected: 'api.mailgun.net or api.eu.mailgun.net',
      },
      ...key('API key', 'MG_API_KEY'),
    },
    ...basic('https://{host}', 'api', '{apiKey}'),
    probe: { path: '/v4/domains' },
    baseUrl: { variable: 'MG_URL', path: '' },
  },
  {
    name: 'postmark',
    title: 'Postmark',
    keyAt: 'https://account.postmarkapp.com/servers',
    docs: 'https://postmarkapp.com/developer/api/overview',
    ask: key('Server API token', 'POSTMARK_SERVER_TOKEN'),
    ...keyed(['https://api.postmarkapp.com'], { 'X-Postmark-Server-Token': '{{$Auth.API_Key}}' }),
    probe: { path: '/server', headers: { Accept: 'application/json' } },
  },
  {
    name: 'sendgrid',
    title: 'Twilio SendGrid',
    keyAt: 'https://app.sendgrid.com/settings/api_keys',
    docs: 'https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/authentication',
    ask: {
      host: {
        title: 'Host: api.sendgrid.com, or api.eu.sendgrid.com for EU subusers',
        default: 'api.sendgrid.com',
        pattern: /^api(?:\.eu)?\.sendgrid\.com$/,
        expected: 'api.sendgrid.com or api.eu.sendgrid.com',
      },
      ...key('API key', 'SENDGRID_API_KEY'),
    },
    ...keyed(['https://{host}']),
    probe: { path: '/v3/scopes' },
  },
  {
    name: 'slack',
    title: 'Slack',
    keyAt: 'https://api.slack.com/apps',
    docs: 'https://docs.slack.dev/apis/web-api',
    ask: key('Bot or user token', 'SLACK_BOT_TOKEN'),
    ...keyed(['https://slack.com']),
    probe: { path: '/api/auth.test' },
  },
  {
    name: 'twilio',
    title: 'Twilio',
    keyAt: 'https://console.twilio.com/us1/account/keys-credentials/api-keys',
    docs: 'https://www.twilio.com/docs/iam/api-keys',
    ask: {
      account: {
        title: 'Account SID (AC…)',
        example: 'AC00000000000000000000000000000000',
        pattern: /^AC[0-9a-f]{32}$/i,
        expected: 'AC with 32 hexadecimal digits',
      },
      sid: {
        title: 'API key SID (SK…), or the account SID again for its auth token',
        example: 'SK00000000000000000000000000000000',
        pattern: /^(?:AC|SK)[0-9a-f]{32}$/i,
        expected: 'AC or SK with 32 hexadecimal digits',
      },
      secret: { title: 'API key secret or auth token', secret: true, variable: 'TWILIO_AUTH_TOKEN' },
    },
    ...basic('https://api.twilio.com', '{sid}', '{secret}'),
    // An API key of the standard kind may not read the account itself.
    probe: { path: '/2010-04-01/Accounts/{account}/IncomingPhoneNumbers.json' },
  },
]
