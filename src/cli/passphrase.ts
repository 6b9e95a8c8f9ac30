/** Where a passphrase comes from: a file, or a hidden prompt; never argv, never standard output. */
import { once } from 'node:events'
import { isAbsolute, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { utf8 } from '../base/bytes.js'
import type { PassphraseSource } from '../store/keystore.js'
import { UsageError } from './exit.js'
import type { DirectoryVerbOptions } from './verb.js'

/** `twice`: a new passphrase is typed again, because a slip of the finger would lock the directory for ever. */
export async function passphraseFor(
  { dir, passphraseFile }: Pick<DirectoryVerbOptions, 'dir' | 'passphraseFile'>,
  twice = false,
): Promise<PassphraseSource> {
  const file = passphraseFile ?? process.env['MERIDIAN_PASSPHRASE_FILE']
  if (file !== undefined) {
    outside(dir, file, 'the passphrase file')
    return file
  }
  if (!process.stdin.isTTY) {
    throw new UsageError('no passphrase: give --passphrase-file FILE or set MERIDIAN_PASSPHRASE_FILE')
  }
  const typed = await ask(`Passphrase for ${dir}: `)
  if (twice && (await ask('The same again: ')) !== typed) throw new UsageError('the two passphrases differ')
  return utf8(typed)
}

/** S3: a thief of the directory must not find the key, or an amount, beside the lock. @throws UsageError */
export function outside(dir: string, path: string, what: string): void {
  const inner = relative(resolve(dir), resolve(path))
  if (inner !== '' && !inner.startsWith('..') && !isAbsolute(inner)) {
    throw new UsageError(`${what} lies in ${dir}: keep it elsewhere, for it opens what the directory seals`)
  }
}

/** Ctrl-C and Ctrl-D end it without an answer. */
async function ask(question: string): Promise<string> {
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: unseen, terminal: true })
  process.stderr.write(question)
  try {
    lines.prompt()
    const [answer] = (await Promise.race([
      once(lines, 'line'),
      once(lines, 'SIGINT'),
      once(lines, 'close'),
    ])) as unknown[]
    if (typeof answer !== 'string') throw new UsageError('no passphrase was typed')
    return answer
  } finally {
    lines.close()
    process.stderr.write('\n')
  }
}
