/** P5, each time with everything else valid. Amounts are below 2^16 here but where 2^48 and 2^64 are named. */
import t, { type Test } from 'tap'
import { bigintToBytes, concatBytes } from '../../src/base/bytes.js'
import { modQ, q } from '../../src/base/curve/index.js'
import { commit } from '../../src/privacy/commitment.js'
import { modInverse } from '../../src/privacy/modexp.js'
import { prove, verify } from '../../src/privacy/proof.js'
import { proofLength } from '../../src/privacy/proof-layout.js'
import { shapeOf } from '../../src/privacy/proof-shape.js'
import { type Cheat, type ForgedDigit, type Forgery, forge } from './mallory.js'
import { blinding, type Case, entropy } from './support.js'

/** Ranges alone, as the issuer's C_minted has one: no key, no link. */
function ranges(values: readonly bigint[], minimum: 0n | 1n = 0n, bits = 16): Case {
  const openings = values.map((value, i) => ({ value, blinding: blinding(`range ${i}`) }))
  return {
    statement: {
      kind: 'mint',
      role: 'issuer',
      bits,
      context: [],
      keys: [],
      commitments: openings.map(({ value, blinding }) => commit(value, blinding)),
      links: [],
      ranges: openings.map((_, commitment) => ({ commitment, minimum })),
    },
    witness: { openings, randomness: [] },
  }
}

const proves = ({ statement, witness }: Case): boolean => verify(statement, prove(statement, witness, entropy('range')))

/** Neither the honest prover nor Mallory gets it through. */
function impossible(t: Test, example: Case, name: string, cheat: Cheat = {}): void {
  t.throws(() => prove(example.statement, example.witness, entropy('range')), /P5/, `${name}: prove refuses`)
  const forgery = forge(example, cheat)
  t.notOk(forgery.ringsHold, `${name}: no ring closes`)
  t.notOk(verify(example.statement, forgery.proof), `${name}: refused`)
}

t.test('every value of the range, at its edges, for every L', async (t) => {
  for (const bits of [16, 18, 48, 64]) {
    const top = 2n ** BigInt(bits)
    t.ok(proves(ranges([0n, 1n, top - 1n, top / 2n], 0n, bits)), `L = ${bits}`)
    t.ok(proves(ranges([1n, 2n, top], 1n, bits)), `L = ${bits}, minimum 1: up to 2^L`)
    impossible(t, ranges([top], 0n, bits), '2^L')
    impossible(t, ranges([0n], 1n, bits), 'T = 0')
    impossible(t, ranges([top + 1n], 1n, bits), 'T = 2^L + 1')
    impossible(t, ranges([-1n], 0n, bits), '-1')
  }
  t.ok(forge(ranges([41n, 0n])).ringsHold, 'Mallory proves what is true')
})

t.test('a value out of range fails wherever Mallory hides the excess', async (t) => {
  const example = ranges([-1n])
  for (const place of [0, 3, 7]) {
    for (const claim of [0, 1, 2, 3]) {
      // The digit of weight 4^place stands for -4^-place modulo q: the sum is -1.
      const hidden = modQ(-modInverse(4n ** BigInt(place), q)!)
      const digits: NonNullable<Cheat['digits']> = (_, honest) =>
        honest.map((digit, j) => (j === place ? { ...digit, value: hidden, claim } : { ...digit, value: 0n, claim: 0 }))
      const forgery = forge(example, { digits })
      t.notOk(forgery.ringsHold || verify(example.statement, forgery.proof))
    }
  }
  impossible(t, ranges([q - 1n]), 'q - 1')
  impossible(t, ranges([5n, 2n ** 16n, 6n]), 'one bad range among good ones')
})

t.test('an opening that opens another commitment is a defect of the caller', async (t) => {
  const { statement, witness } = ranges([5n])
  const { value, blinding: r } = witness.openings[0]!
  for (const opening of [
    { value: value + 1n, blinding: r },
    { value, blinding: r + 1n },
  ]) {
    t.throws(() => prove(statement, { ...witness, openings: [opening] }, entropy('x')), /P5/)
  }
  t.throws(() => prove(statement, { ...witness, openings: [] }, entropy('x')), /P5/)
  t.throws(() => prove({ ...statement, ranges: [] }, witness, entropy('x')), /P5/, 'a statement of nothing')
  t.notOk(verify({ ...statement, ranges: [] }, new Uint8Array(64)))
})

t.test('an infinite commitment is a value like any other; zero blindings too', async (t) => {
  const example = ranges([0n])
  const infinite: Case = {
    statement: { ...example.statement, commitments: [null] },
    witness: { ...example.witness, openings: [{ value: 0n, blinding: 0n }] },
  }
  t.equal(commit(0n, 0n), null)
  t.ok(proves(infinite))
  t.notOk(verify(example.statement, prove(infinite.statement, infinite.witness, entropy('x'))))
  const H = commit(1n, 0n)
  const one: Case = {
    statement: { ...example.statement, commitments: [H], ranges: [{ commitment: 0, minimum: 1n }] },
    witness: { ...example.witness, openings: [{ value: 1n, blinding: 0n }] },
  }
  t.ok(proves(one), 'C - H is infinite')
})

/** Where the first digit commitment is: after the seed. */
const POINTS = 32

t.test('points in a proof are finite and canonical', async (t) => {
  const example = ranges([41n])
  const { statement } = example
  const proof = prove(statement, example.witness, entropy('points'))
  t.equal(proof.length, proofLength(shapeOf(statement)!))
  const p = 2n ** 256n - 2n ** 32n - 977n
  const point = proof.slice(POINTS, POINTS + 33)
  const encodings: Record<string, Uint8Array> = {
    infinity: new Uint8Array(33),
    'hybrid prefix': point.with(0, 4 + point[0]!),
    'uncompressed prefix': point.with(0, 4),
    'not reduced: p + 1': concatBytes(Uint8Array.of(2), bigintToBytes(p + 1n, 32)),
    'not on the curve: 5': concatBytes(Uint8Array.of(2), bigintToBytes(5n, 32)),
    'the other y': point.with(0, point[0]! ^ 1),
  }
  for (const [name, encoding] of Object.entries(encodings)) {
    const mutant = concatBytes(proof.slice(0, POINTS), encoding, proof.slice(POINTS + 33))
    t.notOk(verify(statement, mutant), name)
  }

  // A digit commitment that is infinite, everything else computed around it.
  const infinite = forge(ranges([0n]), { digits: (_, honest) => shiftBlinding(honest, 0, 0n) })
  t.ok(infinite.ringsHold)
  t.notOk(verify(ranges([0n]).statement, infinite.proof), 'an infinite digit commitment')

  // A derived last digit commitment that is infinite.
  const last = forge(ranges([0n]), { digits: (_, honest) => shiftBlinding(honest, 7, 0n) })
  t.ok(last.ringsHold)
  t.notOk(verify(ranges([0n]).statement, last.proof), 'an infinite last digit commitment')

  // A finite digit commitment, one of whose ring's members is infinite: D_0 = 1*H.
  const member = forge(example, { digits: (_, honest) => shiftBlinding(honest, 0, 0n) })
  t.ok(member.ringsHold)
  t.notOk(verify(statement, member.proof), 'an infinite member of a ring')
})

/** The digit gets this blinding; another digit takes the difference, so that the sum stays. */
function shiftBlinding(digits: readonly ForgedDigit[], at: number, value: bigint): ForgedDigit[] {
  const other = at === 0 ? 1 : 0
  const difference = digits[at]!.blinding - value
  return digits.map((digit, j) => {
    if (j === at) return { ...digit, blinding: value }
    return j === other ? { ...digit, blinding: (((digit.blinding + difference) % q) + q) % q } : digit
  })
}

t.test('scalars in a proof are canonical and not zero', async (t) => {
  const example = ranges([0n])
  // Digit 0 closes at position 0, so position 2 takes any scalar.
  const chosen = (value: bigint, encoded = value): Forgery =>
    forge(example, {
      scalar: (ring, position) => (ring === 3 && position === 2 ? value : undefined),
      encodeScalar: (scalar) => bigintToBytes(scalar === value ? encoded : scalar, 32),
    })
  t.ok(verify(example.statement, chosen(5n).proof))
  t.ok(verify(example.statement, chosen(q - 1n).proof))
  t.ok(chosen(0n).ringsHold && chosen(5n, 5n + q).ringsHold)
  t.notOk(verify(example.statement, chosen(0n).proof), 'zero')
  t.notOk(verify(example.statement, chosen(0n, q).proof), 'q')
  t.notOk(verify(example.statement, chosen(5n, 5n + q).proof), '5 + q')
})

t.test('every field of a proof counts, rings and positions included', async (t) => {
  const { statement, witness } = ranges([41n, 41n])
  const proof = prove(statement, witness, entropy('fields'))
  t.ok(verify(statement, proof))
  const swap = (a: number, b: number, length: number): Uint8Array => {
    const mutant = proof.slice()
    mutant.set(proof.slice(b, b + length), a)
    mutant.set(proof.slice(a, a + length), b)
    return mutant
  }
  const perRange = 7 * 33
  const e0 = 32 + 2 * perRange
  const scalars = e0 + 32
  const swapped: Record<string, Uint8Array> = {
    'two digits': swap(POINTS, POINTS + 33, 33),
    'the digits of two ranges': swap(POINTS, POINTS + perRange, perRange),
    'two scalars of a ring': swap(scalars, scalars + 32, 32),
    'two rings': swap(scalars, scalars + 128, 128),
    'the rings of two ranges': swap(scalars, scalars + 8 * 128, 8 * 128),
    'seed and e0': swap(0, e0, 32),
  }
  for (const [name, mutant] of Object.entries(swapped)) t.notOk(verify(statement, mutant), name)
  for (let at = 0; at < proof.length; at += 29) {
    t.notOk(verify(statement, proof.with(at, proof[at]! ^ 1)), `a bit of byte ${at}`)
  }
  for (const other of [new Uint8Array(0), proof.slice(1), proof.slice(0, -1), concatBytes(proof, new Uint8Array(1))]) {
    t.notOk(verify(statement, other), `${other.length} bytes`)
  }
  t.notOk(verify(statement, new Uint8Array(proof.length)))
  t.notOk(verify(statement, new Uint8Array(proof.length).fill(255)))
})

t.test('L is even and between 16 and 64; indices are indices', async (t) => {
  const { statement } = ranges([1n])
  for (const bits of [0, 2, 14, 15, 17, 66, 16.5, Number.NaN, -16]) {
    t.notOk(verify({ ...statement, bits }, new Uint8Array(1000)))
  }
  for (const commitment of [1, -1, 0.5, Number.NaN]) {
    t.notOk(verify({ ...statement, ranges: [{ commitment, minimum: 0n }] }, new Uint8Array(1000)))
  }
  t.notOk(verify({ ...statement, ranges: [{ commitment: 0, minimum: 2n as 1n }] }, new Uint8Array(1000)))
})
