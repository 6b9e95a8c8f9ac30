/** A question whose answer moves money: asked on a terminal, answered beforehand with `--yes` where there is none. */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { UsageError } from './exit.js'

/** Ctrl-C and Ctrl-D are a no. @throws UsageError where nobody said yes */
export async function confirm(question: string, yes: boolean): Promise<void> {
  if (yes) return
  if (!process.stdin.isTTY) throw new UsageError(`${question} There is no terminal to ask on: give --yes`)
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  process.stderr.write(`${question} Type yes: `)
  try {
    const [answer] = (await Promise.race([
      once(lines, 'line'),
      once(lines, 'SIGINT'),
      once(lines, 'close'),
    ])) as unknown[]
    if (answer !== 'yes') throw new UsageError('not confirmed: nothing happened')
  } finally {
    lines.close()
  }
}
