import type { Template } from '../template.ts'
import { basic, key, keyed, label } from './kinds.ts'

const email = { title: 'E-mail address of the account', example: 'ada@example.com' }

/** What a business runs on. */
export const business: readonly Template[] = [
  {
    name: 'airtable',
    title: 'Airtable',
    keyAt: 'https://airtable.com/create/tokens',
    docs: 'https://airtable.com/developers/web/api/authentication',
    ask: key('Personal access token', 'AIRTABLE_API_KEY'),
    ...keyed(['https://api.airtable.com']),
    probe: { path: '/v0/meta/whoami' },
    baseUrl: { variable: 'AIRTABLE_ENDPOINT_URL', path: '' },
  },
  {
    name: 'asana',
    title: 'Asana',
    keyAt: 'https://app.asana.com/0/my-apps',
    docs: 'https://developers.asana.com/docs/personal-access-token',
    ask: key('Personal access token', 'ASANA_ACCESS_TOKEN'),
    ...keyed(['https://app.asana.com']),
    probe: { path: '/api/1.0/users/me' },
  },
  {
    name: 'clickup',
    title: 'ClickUp',
    keyAt: 'https://app.clickup.com/settings/apps',
    docs: 'https://developer.clickup.com/docs/authentication',
    ask: key('Personal API token', 'CLICKUP_API_TOKEN'),
    ...keyed(['https://api.clickup.com'], { Authorization: '{{$Auth.API_Key}}' }),
    probe: { path: '/api/v2/user' },
  },
  {
    name: 'figma',
    title: 'Figma',
    keyAt: 'https://www.figma.com/settings',
    docs: 'https://developers.figma.com/docs/rest-api/personal-access-tokens/',
    ask: key('Personal access token', 'FIGMA_ACCESS_TOKEN'),
    ...keyed(['https://api.figma.com'], { 'X-Figma-Token': '{{$Auth.API_Key}}' }),
    probe: { path: '/v1/me' },
  },
  {
    name: 'hubspot',
    title: 'HubSpot',
    keyAt:
      'https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/account-service-keys',
    docs: 'https://developers.hubspot.com/docs/apps/legacy-apps/authentication/intro-to-auth',
    ask: key('Service key, or access token of a private app', 'HUBSPOT_ACCESS_TOKEN'),
    ...keyed(['https://api.hubapi.com']),
    probe: { path: '/account-info/v3/details' },
  },
  {
    name: 'intercom',
    title: 'Intercom',
    keyAt: 'https://app.intercom.com/a/apps/_/developer-hub',
    docs: 'https://developers.intercom.com/docs/build-an-integration/learn-more/authentication',
    ask: {
      host: {
        title: 'Host: api.intercom.io, api.eu.intercom.io or api.au.intercom.io',
        default: 'api.intercom.io',
        pattern: /^api(?:\.eu|\.au)?\.intercom\.io$/,
        expected: 'api.intercom.io, api.eu.intercom.io or api.au.intercom.io',
      },
      ...key('Access token', 'INTERCOM_API_KEY'),
    },
    ...keyed(['https://{host}']),
    probe: { path: '/admins' },
  },
  {
    name: 'jira',
    title: 'Jira Cloud',
    keyAt: 'https://id.atlassian.com/manage-profile/security/api-tokens',
    docs: 'https://developer.atlassian.com/cloud/jira/platform/basic-auth-for-rest-apis/',
    ask: {
      site: label('Site: the part before .atlassian.net', 'acme'),
      email,
      token: { title: 'API token without scopes', secret: true, variable: 'JIRA_API_TOKEN' },
    },
    ...basic('https://{site}.atlassian.net', '{email}', '{token}'),
    probe: { path: '/rest/api/3/myself' },
  },
  {
    name: 'notion',
    title: 'Notion',
    keyAt: 'https://www.notion.com/my-integrations',
    docs: 'https://developers.notion.com/reference/authentication',
    ask: key('Integration secret', 'NOTION_TOKEN'),
    ...keyed(['https://api.notion.com']),
    probe: { path: '/v1/users/me', headers: { 'Notion-Version': '2026-03-11' } },
  },
  {
    name: 'shopify',
    title: 'Shopify (Admin API)',
    keyAt: 'https://admin.shopify.com/store/{shop}/settings/apps/development',
    docs: 'https://shopify.dev/docs/apps/build/authentication-authorization/legacy/admin-custom-apps',
    ask: {
      shop: label('Shop: the part before .myshopify.com', 'acme'),
      ...key('Admin API access token of a custom app', 'SHOPIFY_ACCESS_TOKEN'),
    },
    ...keyed(['https://{shop}.myshopify.com'], { 'X-Shopify-Access-Token': '{{$Auth.API_Key}}' }),
    probe: { path: '/admin/oauth/access_scopes.json' },
  },
  {
    name: 'stripe',
    title: 'Stripe',
    keyAt: 'https://dashboard.stripe.com/apikeys',
    docs: 'https://docs.stripe.com/api/authentication',
    ask: key('Secret or restricted key', 'STRIPE_API_KEY'),
    ...keyed(['https://api.stripe.com']),
    probe: { path: '/v1/balance' },
  },
  {
    name: 'zendesk',
    title: 'Zendesk',
    keyAt: 'https://{subdomain}.zendesk.com/admin/apps-integrations/apis/api-tokens',
    docs: 'https://developer.zendesk.com/api-reference/introduction/security-and-auth/',
    ask: {
      subdomain: label('Subdomain: the part before .zendesk.com', 'acme'),
      email,
      token: { title: 'API token', secret: true, variable: 'ZENDESK_API_TOKEN' },
    },
    ...basic('https://{subdomain}.zendesk.com', '{email}/token', '{token}'),
    probe: { path: '/api/v2/users/me.json' },
  },
]
