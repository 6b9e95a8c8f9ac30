/** What a directory takes on disk. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Bytes of all files below. */
export function bytesIn(dir: string): number {
  let bytes = 0
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size
  }
  return bytes
}
