import { Octokit } from 'octokit'
import { takeEach } from './steps.mjs'

const { BASE, GATEWAY_KEY } = process.env

const octokit = new Octokit({
  auth: '<<$Auth.API_Key>>',
  baseUrl: BASE,
  retry: { enabled: false },
  throttle: { enabled: false },
})
if (GATEWAY_KEY) {
  octokit.hook.before('request', (options) => {
    options.headers['locum-authorization'] = `Bearer ${GATEWAY_KEY}`
  })
}
const engine = { owner: 'ada', repo: 'engine' }

await takeEach({
  async user() {
    const { data } = await octokit.rest.users.getAuthenticated()
    return [data.login, data.bio]
  },
  async create() {
    const { data } = await octokit.rest.issues.create({ ...engine, title: 'Steam' })
    return [data.number, data.title]
  },
  async pages() {
    const issues = await octokit.paginate('GET /repos/{owner}/{repo}/issues', { ...engine, per_page: 1 })
    return issues.map(({ number }) => number)
  },
})
