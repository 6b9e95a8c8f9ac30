/**
 * Point locks (R1). The payee's lock is on T + y*G, each hop's on the next one's point plus its own y*G: no two locks of
 * a payment have points that a third party can link, and a hop that is skipped leaves a gap that only its y fills.
 */
import { equalBytes } from '../base/bytes.js'
import {
  curve,
  type Point,
  type Scalar,
  scalarAdd,
  scalarFromBigint,
  scalarSubtract,
  scalarToBigint,
} from '../base/curve/index.js'
import { invariant } from '../base/errors.js'
import { ok, type Result, refuse } from '../base/result.js'

/** Whether the scalar opens the point: t*G = T. */
export const opens = (point: Point, scalar: Scalar): boolean => equalBytes(curve.multiplyBase(scalar), point)

/**
 * The payer's side: the point of the lock offered to each hop of the route, the payee's last.
 * @param scalars each hop's y, in the order of the route.
 * @returns `point_unusable` where a sum is infinite: take a fresh session key.
 */
export function lockPoints(target: Point, scalars: readonly Scalar[]): Result<Point[]> {
  const points: Point[] = []
  let point: Point = target
  for (const scalar of scalars.toReversed()) {
    const sum = curve.addBase(point, scalar)
    if (sum === null) return refuse('point_unusable')
    point = sum
    points.unshift(point)
  }
  return ok(points)
}

/**
 * The hop's side: what is left of its lock's point without its y. For a forwarder the outgoing lock's point, for the
 * payee the invoice's T. Computed here, never received (R1).
 * @returns null for infinity.
 */
export function pointAfter(incoming: Point, y: Scalar): Point | null {
  const negative = scalarFromBigint(-scalarToBigint(y))
  invariant(negative !== undefined, 'R1', 'y is not zero')
  return curve.addBase(incoming, negative)
}

/** The scalar that claims a hop's incoming lock, from the one that claimed its outgoing lock. */
export function scalarUpstream(downstream: Scalar, y: Scalar): Scalar {
  const sum = scalarAdd(downstream, y)
  invariant(sum !== undefined, 'R1', 'the incoming point is finite, so its scalar is not zero')
  return sum
}

/**
 * The payer's proof of payment: t with t*G = T, from the scalar that claimed its lock.
 * @returns undefined where the scalar does not open the first lock.
 */
export function proofOfPayment(target: Point, claimed: Scalar, scalars: readonly Scalar[]): Scalar | undefined {
  let rest: Scalar | undefined = claimed
  for (const y of scalars) rest = rest && scalarSubtract(rest, y)
  return rest !== undefined && opens(target, rest) ? rest : undefined
}
