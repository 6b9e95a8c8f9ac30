/** What the peers' drivers share: a closed loop, one line of JSON for each figure, and where their packages stand. */
import { fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Arguments: directory with node_modules, windows, seconds of each. */
export function plan([dir, windows, seconds] = process.argv.slice(2)) {
  process.once('SIGTERM', () => process.exit(143)) // what is removed at an exit is removed then too
  return { dir, windows: windows.split(',').map(Number), seconds: Number(seconds) }
}

export const requireFrom = (dir) => createRequire(join(dir, 'package.json'))
export const importFrom = (dir, path) => import(pathToFileURL(join(dir, 'node_modules', path)).href)

/** Keeps `window` payments under way; counts what ends within so many seconds, after one that is not counted. */
export async function closedLoop(window, seconds, pay) {
  const from = performance.now() + 1_000
  const until = from + 1_000 * seconds
  const latencies = []
  const lane = async () => {
    while (performance.now() < until) {
      const began = performance.now()
      await pay()
      const ended = performance.now()
      if (ended >= from && ended < until) latencies.push(ended - began)
    }
  }
  await Promise.all(Array.from({ length: window }, lane))
  latencies.sort((a, b) => a - b)
  const at = (share) => latencies[Math.floor(share * (latencies.length - 1))] ?? null
  return { window, rate: latencies.length / seconds, p50_ms: at(0.5), p99_ms: at(0.99), done: latencies.length }
}

/** One figure, as the runner reads it. */
export const tell = (what, figures) => process.stdout.write(`${JSON.stringify({ what, ...figures })}\n`)

/** The same file in another process, with a role; resolves once it says `ready`, with what it says. */
export function role(file, name, args) {
  const child = fork(file, ['role', name, JSON.stringify(args)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)))
    child.once('message', (ready) => resolve({ child, ready }))
  })
}

/** In the process of a role: which, and its arguments. It ends with its parent. */
export function playing() {
  const [first, name, args] = process.argv.slice(2)
  if (first !== 'role') return undefined
  process.once('disconnect', () => process.exit(0))
  return { name, args: JSON.parse(args) }
}

/** Calls to the process of a role and their answers: see `answering`. */
export function asking(child) {
  const waiting = new Map()
  let calls = 0
  child.on('message', ({ call, answer }) => {
    waiting.get(call)?.(answer)
    waiting.delete(call)
  })
  return (ask, value) =>
    new Promise((resolve) => {
      waiting.set(++calls, resolve)
      child.send({ call: calls, ask, with: value })
    })
}

/** In the process of a role: `answers` by name of what is asked. */
export function answering(answers) {
  process.on('message', async ({ call, ask, with: value }) => {
    process.send({ call, answer: await answers[ask](value) })
  })
}
