import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { readU64 } from '../../src/base/bytes.js'
import type { ChannelId } from '../../src/base/ids.js'
import { createDirectory, openDirectory } from '../../src/store/directory.js'
import { FATAL_EXIT_CODE } from '../../src/store/fatal.js'
import { tableKey } from '../../src/store/tables.js'

const WRITER = new URL('./writer.js', import.meta.url).pathname
const channel = new Uint8Array(32).fill(1) as ChannelId

/** Of tap's own arguments only those that read TypeScript. */
const TYPESCRIPT = process.execArgv.filter((argument) => argument.includes('typescript'))

/** `limit` in blocks of 1024 bytes: the largest file the child may write, as a disk that is full. */
function writer(dir: string, passphraseFile: string, limit?: number): ChildProcess {
  const run = [process.execPath, ...TYPESCRIPT, WRITER, dir, passphraseFile]
  const shell = ['-c', `trap '' XFSZ; ulimit -f ${limit ?? 'unlimited'}; exec "$@"`, 'bash', ...run]
  return spawn('bash', shell, { stdio: ['ignore', 'pipe', 'pipe'] })
}

async function prepare(t: { testdir: (files: Record<string, string>) => string }) {
  const root = t.testdir({ passphrase: 'two words' })
  const [dir, passphraseFile] = [join(root, 'node'), join(root, 'passphrase')]
  const made = await createDirectory(dir, passphraseFile, { test: true })
  if (!made.ok) throw new Error(made.error.code)
  await made.value.close()
  return { dir, passphraseFile }
}

t.test('kill -9 loses nothing that was acknowledged, and leaves no lock (C6, C7)', async (t) => {
  const { dir, passphraseFile } = await prepare(t)
  let acknowledged = 0
  for (const stopAfter of [1, 20]) {
    const child = writer(dir, passphraseFile)
    let lines = 0
    for await (const line of createInterface({ input: child.stdout! })) {
      acknowledged = Number(line.replace('acknowledged ', ''))
      if (++lines === stopAfter) {
        if (stopAfter === 20) {
          const second = writer(dir, passphraseFile)
          const [answer] = await once(createInterface({ input: second.stdout! }), 'line')
          t.equal(answer, 'refused store_locked', 'a second process refuses to start')
        }
        child.kill('SIGKILL')
      }
    }
    const opened = await openDirectory(dir, passphraseFile)
    if (!opened.ok) throw new Error(opened.error.code)
    const { store, highWater, suspicions } = opened.value
    const version = readU64(store.get(tableKey('channel', channel))!)!
    t.ok(version >= acknowledged, `${version} stored, ${acknowledged} acknowledged`)
    t.strictSame(suspicions, [])
    const [, mark] = [...highWater.channels()][0]!
    t.ok(mark.version >= acknowledged && mark.version <= version, 'the file is behind the batch, before the message')
    await opened.value.close()
    // the next writer begins at 1 again: it may not lower the marks
    await forget(dir, passphraseFile)
  }
})

async function forget(dir: string, passphraseFile: string): Promise<void> {
  const opened = await openDirectory(dir, passphraseFile)
  if (!opened.ok) throw new Error(opened.error.code)
  await opened.value.highWater.forget(channel)
  await opened.value.close()
}

t.test('a disk that refuses a write ends the process at once (S2)', async (t) => {
  const { dir, passphraseFile } = await prepare(t)
  const child = writer(dir, passphraseFile, 4_000)
  const lines: string[] = []
  const errors: string[] = []
  createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line))
  createInterface({ input: child.stderr! }).on('line', (line) => errors.push(line))
  const [code] = await once(child, 'close')
  t.equal(code, FATAL_EXIT_CODE)
  t.match(errors.join('\n'), /FATAL store_failed: .*LEVEL_IO_ERROR/)
  t.notOk(lines.includes('a caller went on after a failed write'))
  const acknowledged = Number(lines.at(-1)?.replace('acknowledged ', ''))
  const opened = await openDirectory(dir, passphraseFile)
  if (!opened.ok) throw new Error(opened.error.code)
  const version = readU64(opened.value.store.get(tableKey('channel', channel))!)!
  t.ok(acknowledged > 0 && version >= acknowledged, 'what was acknowledged is there')
  await opened.value.close()
})
