import { secp256k1 } from '@noble/curves/secp256k1.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToBigint } from '../bytes.js'
import type { CurveBackend, Point, Signature, WidePoint } from './backend.js'

type Projective = InstanceType<typeof secp256k1.Point>
const { Point: Curve } = secp256k1

const decode = (point: Uint8Array): Projective => Curve.fromBytes(point)
const encode = (point: Projective): Point => point.toBytes(true) as Point
const encodeOrNull = (point: Projective): Point | null => (point.is0() ? null : encode(point))

const encodeWide = (point: Projective): WidePoint => point.toBytes(false) as WidePoint

/** The pure backend: slower, same results; used where the native binding does not load (P8). */
export const noble: CurveBackend = {
  name: 'noble',
  isPoint(bytes) {
    if (bytes.length !== 33) return false
    try {
      decode(bytes).assertValidity()
      return true
    } catch {
      return false // the only way noble says "not a point"
    }
  },
  multiplyBase: (k) => encode(Curve.BASE.multiply(bytesToBigint(k))),
  multiply: (point, k) => encode(decode(point).multiply(bytesToBigint(k))),
  sum: (points) => encodeOrNull(points.reduce((total, point) => total.add(decode(point)), Curve.ZERO)),
  widen(bytes) {
    return this.isPoint(bytes) ? encodeWide(decode(bytes)) : undefined
  },
  multiplyBaseWide: (k) => encodeWide(Curve.BASE.multiply(bytesToBigint(k))),
  sumWide(points) {
    const sum = points.reduce((total, point) => total.add(decode(point)), Curve.ZERO)
    return sum.is0() ? null : encodeWide(sum)
  },
  negate: (point) => encode(decode(point).negate()),
  addBase: (point, k) => encodeOrNull(decode(point).add(Curve.BASE.multiply(bytesToBigint(k)))),
  multiplyAdd: (point, e, s) =>
    encodeOrNull(
      decode(point)
        .multiplyUnsafe(bytesToBigint(e))
        .add(Curve.BASE.multiplyUnsafe(bytesToBigint(s))),
    ),
  sign: (digest, key) => secp256k1.sign(digest, key, { prehash: false, lowS: true }) as Signature,
  verify(digest, signature, publicKey) {
    if (signature.length !== 64) return false
    try {
      return secp256k1.verify(signature, digest, publicKey, { prehash: false, lowS: true })
    } catch {
      return false // noble throws for r or s out of range
    }
  },
  ecdh: (publicKey, key) => sha256(encode(decode(publicKey).multiply(bytesToBigint(key)))),
}
