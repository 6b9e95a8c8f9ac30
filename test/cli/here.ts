/**
 * Verbs run in the test's own process, output and environment apart per call: a process each loads the whole program, which is
 * most of what such a verb costs. What a verb does as a process of its own (exit code, pipes, no handle left) is asked of
 * one of each kind: `Shell` with `apart`.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { main } from '../../src/cli/main.js'

interface Call {
  readonly env: NodeJS.ProcessEnv
  out: string
  err: string
}

const calls = new AsyncLocalStorage<Call>()

function divert(stream: NodeJS.WriteStream, name: 'out' | 'err'): void {
  const own = stream.write.bind(stream) as (...args: unknown[]) => boolean
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    const call = calls.getStore()
    if (call === undefined) return own(chunk, ...rest)
    call[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()
    const done = rest.at(-1)
    if (typeof done === 'function') done()
    return true
  }) as typeof stream.write
}

let diverted = false

/** Once, and only where a verb runs here. Nobody is asked for a passphrase, as in a child with pipes. */
function divertAll(): void {
  if (diverted) return
  diverted = true
  divert(process.stdout, 'out')
  divert(process.stderr, 'err')
  process.stdin.isTTY = false
  process.stderr.isTTY = false
  const own = process.env
  Object.defineProperty(process, 'env', { get: () => calls.getStore()?.env ?? own })
}

export async function runHere(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  divertAll()
  const call = { env, out: '', err: '' }
  const code = await calls.run(call, () => main([...args]))
  return { code, out: call.out, err: call.err }
}
