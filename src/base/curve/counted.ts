import { count } from '../counters.js'
import type { CurveBackend } from './backend.js'

/** The same backend, each multiplication, signature and verification counted. */
export const counted = (backend: CurveBackend): CurveBackend => ({
  name: backend.name,
  isPoint: (bytes) => backend.isPoint(bytes),
  multiplyBase(k) {
    count('baseMultiplications')
    return backend.multiplyBase(k)
  },
  multiply(point, k) {
    count('multiplications')
    return backend.multiply(point, k)
  },
  sum: (points) => backend.sum(points),
  widen: (bytes) => backend.widen(bytes),
  multiplyBaseWide(k) {
    count('baseMultiplications')
    return backend.multiplyBaseWide(k)
  },
  sumWide: (points) => backend.sumWide(points),
  negate: (point) => backend.negate(point),
  addBase(point, k) {
    count('baseMultiplications')
    return backend.addBase(point, k)
  },
  multiplyAdd(point, e, s) {
    count('multiplications')
    return backend.multiplyAdd(point, e, s)
  },
  sign(digest, key) {
    count('signatures')
    return backend.sign(digest, key)
  },
  verify(digest, signature, publicKey) {
    count('verifications')
    return backend.verify(digest, signature, publicKey)
  },
  ecdh(publicKey, key) {
    count('multiplications')
    return backend.ecdh(publicKey, key)
  },
})
