import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../../store/open.ts'
import { testStore } from '../contract/store.ts'

testStore('SQLite', async (clock) => {
  const data = mkdtempSync(join(tmpdir(), 'locum-store-'))
  return {
    open: () => openStore({ data, clock }),
    remove: async () => rmSync(data, { recursive: true }),
  }
})
