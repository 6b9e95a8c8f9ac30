/** Two threads over one divided computation: each sends the other what it found. */
import type { MessagePort } from 'node:worker_threads'
import { type Divided, type Findings, mergeFindings, type Share } from './shares.js'

/** The other thread ended, or gave up, before it had said all that this one needs. */
export class Abandoned extends Error {
  override readonly name = 'Abandoned'
}

/** What arrives at a port, in order; rejects with Abandoned once nothing more can. */
function inboxOf(port: MessagePort): () => Promise<Findings> {
  const heard: Findings[] = []
  let closed = false
  let wake = (): void => {}
  port.on('message', (findings: Findings) => {
    heard.push(findings)
    wake()
  })
  port.on('close', () => {
    closed = true
    wake()
  })
  return async () => {
    while (heard.length === 0 && !closed) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    const findings = heard.shift()
    if (findings === undefined) throw new Abandoned()
    return findings
  }
}

/**
 * This thread's share of `work`, which the other end of the port runs too. The first share closes the port when it has
 * the result, either of them where it fails: then the other hears it.
 */
export async function together<T>(work: () => Divided<T>, share: Share, port: MessagePort): Promise<T> {
  const theirs = inboxOf(port)
  let done = false
  try {
    const ours = work()
    let step = ours.next([])
    while (step.done !== true) {
      port.postMessage(step.value)
      step = ours.next(mergeFindings(step.value, await theirs()))
    }
    done = true
    return step.value
  } finally {
    if (share.index === 0 || !done) port.close()
  }
}
