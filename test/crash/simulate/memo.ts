/**
 * The curve's answers, remembered. Every one of them is computed for real, once: in one process all of a world's nodes and
 * towers check the same signatures and points, world after world.
 */
import { type CurveBackend, curve } from '../../../src/base/curve/index.js'

const REMEMBERED = 20_000

/** The older half of what is remembered goes when there is too much. */
function remembered<Args extends readonly Uint8Array[], T>(compute: (...args: Args) => T): (...args: Args) => T {
  let [young, old] = [new Map<string, T>(), new Map<string, T>()]
  return (...args) => {
    let name = ''
    // Lengths go in: what is checked may have any.
    for (const { buffer, byteOffset, length } of args)
      name += `${length}.${Buffer.from(buffer, byteOffset, length).toString('latin1')}`
    const known = young.get(name) ?? old.get(name)
    if (known !== undefined) return known
    const value = compute(...args)
    if (young.size >= REMEMBERED) [young, old] = [new Map(), young]
    young.set(name, value)
    return value
  }
}

let done = false
export function rememberCurve(): void {
  if (done) return
  done = true
  const { isPoint, verify, multiplyBase, multiply, ecdh } = { ...curve }
  const answers: Partial<CurveBackend> = {
    isPoint: remembered((bytes) => isPoint.call(curve, bytes)),
    verify: remembered(verify.bind(curve) as (...args: Uint8Array[]) => boolean) as CurveBackend['verify'],
    multiplyBase: remembered(multiplyBase.bind(curve)),
    multiply: remembered(multiply.bind(curve)),
    ecdh: remembered(ecdh.bind(curve)),
  }
  Object.assign(curve, answers)
}
