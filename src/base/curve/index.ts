/** The one door to the curve (P8): group, ECDSA and ECDH over secp256k1, native where it loads, noble where not. */
import { keyText } from '../bytes.js'
import { ok, type Result, refuse } from '../result.js'
import type { CurveBackend, Point, Signature, WidePoint } from './backend.js'
import { counted } from './counted.js'
import { loadNative } from './native.js'
import { noble } from './noble.js'
import { scalarFromBigint } from './scalar.js'

export type { CurveBackend, Point, Signature, WidePoint } from './backend.js'
export { loadNative } from './native.js'
export { noble } from './noble.js'
export * from './scalar.js'

/** `MERIDIAN_CURVE=noble` picks the pure backend even where the native one loads (tests, diagnosis). */
export const curve: CurveBackend = counted(process.env['MERIDIAN_CURVE'] === 'noble' ? noble : (loadNative() ?? noble))

/** A group element: a finite point or infinity. Only what the program computes may be infinite, never what it reads. */
export type Element = Point | null

/** The generator: 1*G. */
export const G: Point = curve.multiplyBase(scalarFromBigint(1n)!)

/** The compressed encoding. */
export function narrow(point: WidePoint): Point {
  const compressed = point.slice(0, 33)
  compressed[0] = 2 + (point[64]! & 1)
  return compressed as Point
}

export const narrowElement = (element: WidePoint | null): Element => (element === null ? null : narrow(element))

/** Encodings that were found to be points, the latest: the locks of a state are read again in the next one. */
const seen = new Set<string>()
const SEEN_MAX = 8_192

export function parsePoint(bytes: Uint8Array): Result<Point> {
  if (bytes.length !== 33) return refuse('bad_point')
  const name = keyText(bytes)
  if (seen.has(name)) return ok(bytes as Point)
  if (!curve.isPoint(bytes)) return refuse('bad_point')
  if (seen.size >= SEEN_MAX) seen.clear()
  seen.add(name)
  return ok(bytes as Point)
}

/** Length is all that can be checked alone: high s is refused when verifying (L10). */
export function parseSignature(bytes: Uint8Array): Result<Signature> {
  return bytes.length === 64 ? ok(bytes as Signature) : refuse('bad_encoding')
}

/** Sum of elements, infinity as the neutral one. */
export function sumElements(elements: readonly Element[]): Element {
  const finite = elements.filter((element): element is Point => element !== null)
  if (finite.length <= 1) return finite[0] ?? null
  return curve.sum(finite)
}

export const negateElement = (element: Element): Element => (element === null ? null : curve.negate(element))

export const subtractElements = (a: Element, b: Element): Element => sumElements([a, negateElement(b)])
