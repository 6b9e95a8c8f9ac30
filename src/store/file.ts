import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { count } from '../base/counters.js'

/** Makes a created, renamed or removed name in `dir` durable. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
    count('nameSyncs')
  } finally {
    await handle.close()
  }
}

/** The whole file or none of it, also after a power loss; readable by its owner only. Replaces what is there. */
export async function writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
  const draft = `${path}.tmp`
  await rm(draft, { force: true })
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(draft, path)
  await syncDirectory(dirname(path))
}
