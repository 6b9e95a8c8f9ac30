import { secp256k1_hasher } from '@noble/curves/secp256k1.js'
import fc from 'fast-check'
import t from 'tap'
import { bytesToHex, utf8 } from '../../src/base/bytes.js'
import {
  curve,
  G,
  narrowElement,
  q,
  scalarFromBigint,
  subtractElements,
  sumElements,
} from '../../src/base/curve/index.js'
import { commit, digitRow, H, multiple, multipleOfBase } from '../../src/privacy/commitment.js'

t.test('P1: H is RFC 9380 hash-to-curve of a fixed tag, for ever', async (t) => {
  // RFC 9380, J.8.1, secp256k1_XMD:SHA-256_SSWU_RO_, msg = "abc": the hash that H comes from is the standard's.
  const vector = secp256k1_hasher.hashToCurve(utf8('abc'), { DST: 'QUUX-V01-CS02-with-secp256k1_XMD:SHA-256_SSWU_RO_' })
  t.equal(vector.x.toString(16), '3377e01eab42db296b512293120c6cee72b6ecf9f9205760bd9ff11fb3cb2c4b')
  t.equal(bytesToHex(H), '038b6cff4a46215b682cf6aa26e7cc05a905bc37d1bb5dbb34d4736596d642d112')
  t.notSame(H, G)
})

t.test('P1: commitments add; only (0; 0) is infinite', async (t) => {
  const number = fc.oneof(fc.constantFrom(0n, 1n, q - 1n), fc.bigInt({ min: 0n, max: q - 1n }))
  fc.assert(
    fc.property(number, number, number, number, (v, r, w, s) => {
      t.same(sumElements([commit(v, r), commit(w, s)]), commit(v + w, r + s))
      t.same(subtractElements(commit(v, r), commit(w, s)), commit(v - w, r - s))
    }),
    { numRuns: 30 },
  )
  fc.assert(
    fc.property(fc.bigInt(0n, 1n << 66n), fc.bigInt(0n, q), (v, r) => {
      t.same(commit(v, r), sumElements([multiple(H, v), multipleOfBase(r)]), 'short values are added up from a table')
    }),
    {
      numRuns: 30,
      examples: [
        [(1n << 64n) - 1n, 0n],
        [1n << 64n, 1n],
        [16n, q - 1n],
      ],
    },
  )
  t.equal(commit(0n, 0n), null)
  t.equal(commit(q, 0n), null)
  t.same(commit(1n, 0n), H)
  t.same(commit(0n, 1n), G)
  t.same(commit(-1n, 0n), curve.negate(H))
  t.equal(multiple(null, 5n), null)
  t.equal(multipleOfBase(q), null)
})

t.test('P5: the row of digit j holds the multiples of 4^j*H', async (t) => {
  for (const j of [0, 1, 7, 23, 31]) {
    const weight = 4n ** BigInt(j)
    for (const digit of [0n, 1n, 2n, 3n]) {
      const expected = digit === 0n ? null : curve.multiply(H, scalarFromBigint(digit * weight)!)
      const { plus, minus } = digitRow(j)
      t.same(narrowElement(plus[Number(digit)]!), expected)
      t.equal(sumElements([plus, minus].map((row) => narrowElement(row[Number(digit)]!))), null)
    }
  }
})
