import { openStore } from '../../store/open.ts'
import { testStore } from '../contract/store.ts'
import { makeFolder } from './site.ts'

testStore('SQLite', async (t, clock) => {
  const data = makeFolder(t)
  return { open: () => openStore({ data, clock }) }
})
