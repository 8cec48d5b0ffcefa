/** `npm run schema`: writes what is published and made of the code. tests/docs fails where it is stale. */
import { writeFileSync } from 'node:fs'
import { written } from './written.ts'

for (const [name, text] of Object.entries(written())) writeFileSync(new URL(name, import.meta.url), text)
