/** A failing program becomes a short one: steps are taken out as long as the same is seen to break. */

import { STEP_BYTES, stepsOf } from './program.js'
import type { Outcome } from './run.js'
import type { Violation } from './verdicts.js'

/** @param runs how often it may be run again */
export async function shrink(
  program: Uint8Array,
  violation: Violation,
  again: (program: Uint8Array) => Promise<Outcome>,
  runs: number,
): Promise<Uint8Array> {
  let best = program
  let left = runs
  const fails = async (candidate: Uint8Array): Promise<boolean> => {
    left -= 1
    return kindOf((await again(candidate)).violation) === kindOf(violation)
  }
  for (let size = Math.ceil(stepsOf(best) / 2); size >= 1 && left > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < stepsOf(best) && left > 0; ) {
      const candidate = without(best, from, size)
      if (candidate.length < best.length && (await fails(candidate))) best = candidate
      else from += size
    }
  }
  return best
}

/** Whatever the channels, versions and amounts are. */
const kindOf = (violation: Violation | undefined): string | undefined =>
  violation?.message.replace(/[0-9a-f]{16,}|\d+/g, '#')

function without(program: Uint8Array, from: number, steps: number): Uint8Array {
  const [low, high] = [from * STEP_BYTES, Math.min((from + steps) * STEP_BYTES, program.length)]
  const out = new Uint8Array(program.length - (high - low))
  out.set(program.subarray(0, low))
  out.set(program.subarray(high), low)
  return out
}
