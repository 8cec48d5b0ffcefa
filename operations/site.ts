import type { Site } from '../core/words.ts'
import { administrators, defineOperation } from './operation.ts'
import { closed } from './schema.ts'

export const showSite = defineOperation({
  name: 'site.show',
  summary: 'Show this installation',
  input: closed({}),
  who: administrators,
  run: ({ store }): Promise<Site> => store.site(),
})
