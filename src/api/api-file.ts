/** `<dir>/api.json`: where the running node answers, and the token of this start. Useless once the node has stopped. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { utf8 } from '../base/bytes.js'
import { writeFileAtomic } from '../store/file.js'

const zApiFile = z.object({ url: z.url().max(256), token: z.string().min(1).max(256) })
export type ApiFile = z.output<typeof zApiFile>

export const apiFilePath = (dir: string): string => join(dir, 'api.json')

/** Mode 0600. */
export const writeApiFile = (dir: string, file: ApiFile): Promise<void> =>
  writeFileAtomic(apiFilePath(dir), utf8(`${JSON.stringify(file)}\n`))

export const removeApiFile = (dir: string): Promise<void> => rm(apiFilePath(dir), { force: true })

/** Undefined where no node runs in this directory, or the file cannot be read. */
export async function readApiFile(dir: string): Promise<ApiFile | undefined> {
  let text: string
  try {
    text = await readFile(apiFilePath(dir), 'utf8')
  } catch {
    return undefined // no start, a stop, or no right to read: the caller says how to start the node
  }
  const file = zApiFile.safeParse(parseJson(text))
  return file.success ? file.data : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // refused by the schema
  }
}
