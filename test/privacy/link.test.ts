/** P4, each time with everything else valid: the proof's other equations hold (`linkHolds`, `ringsHold`), and it is refused. */

import { readdirSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { bigintToBytes, bytesToBigint, concatBytes } from '../../src/base/bytes.js'
import { q } from '../../src/base/curve/index.js'
import { ROOT } from '../../src/base/root.js'
import { commit } from '../../src/privacy/commitment.js'
import { respond, wBits, windowsOf } from '../../src/privacy/link.js'
import { modInverse, modPow } from '../../src/privacy/modexp.js'
import { decrypt, encodeCiphertext, encrypt, exportPrivateKey, randomnessBits } from '../../src/privacy/paillier.js'
import { prove, verify } from '../../src/privacy/proof.js'
import { decodeProof } from '../../src/privacy/proof-layout.js'
import { shapeOf } from '../../src/privacy/proof-shape.js'
import type { Statement } from '../../src/privacy/statement.js'
import { linkChallenge } from '../../src/privacy/transcript.js'
import { answer, type Cheat, cutResponse, type Forgery, forge, secretsOf } from './mallory.js'
import { blinding, type Case, entropy, feeCase, keyOf, namedKey, randomness, transferCase } from './support.js'

const bob = keyOf('bob')
const S = BigInt(randomnessBits(1024))

/** A fee under bob's key alone. */
const single = (value: bigint): Case => feeCase(value, { keys: ['bob'] })

/** The same statement and witness with another ciphertext (and its s) in a link. */
function withCiphertext({ statement, witness }: Case, link: number, value: bigint, s = 0n, bytes = 256): Case {
  const links = statement.links.map((each, i) => (i === link ? { ...each, value: bigintToBytes(value, bytes) } : each))
  return { statement: { ...statement, links }, witness: { ...witness, randomness: witness.randomness.with(link, s) } }
}

function withOpening({ statement, witness }: Case, value: bigint, r: bigint): Case {
  return {
    statement: { ...statement, commitments: [commit(value, r)] },
    witness: { ...witness, openings: [{ value, blinding: r }] },
  }
}

const refused = (t: Test, { statement }: Case, forgery: Forgery, name: string): void => {
  t.notOk(verify(statement, forgery.proof), name)
}

t.test('Mallory without a cheat is an honest prover: what she is refused for below is the cheat', async (t) => {
  for (const example of [single(41n), feeCase(0n), transferCase(1000n, 1n)]) {
    const { proof, linkHolds, ringsHold } = forge(example)
    t.ok(linkHolds && ringsHold && verify(example.statement, proof))
  }
})

t.test('a fraction passes Link alone and not the two together (P4, P5)', async (t) => {
  const n = bob.publicKey.n
  const third = modInverse(3n, n)!
  const s = randomness('third')
  const opened = withOpening(single(0n), modInverse(3n, q)!, blinding('third'))
  const example = withCiphertext(opened, 0, encrypt(bob.publicKey, third, s), s)
  t.equal((decrypt(bob, bytesToBigint(example.statement.links[0]!.value)) * 3n) % n, 1n)
  const cheat: Cheat = {
    respond(_group, mask, [e]) {
      if (e! % 3n !== 0n) return undefined
      const { w, v } = answer(mask, [e!], secretsOf(example, _group))
      return { z: mask.a - e! / 3n, w, v }
    },
  }
  const forgery = forge(example, cheat)
  t.ok(forgery.linkHolds, 'the Link of 1/3 holds')
  t.notOk(forgery.ringsHold)
  refused(t, example, forgery, 'with a range that nobody can prove')
  const bare: Case = { ...example, statement: { ...example.statement, ranges: [] } }
  const alone = forge(bare, cheat)
  t.ok(alone.linkHolds && alone.ringsHold)
  refused(t, bare, alone, 'without a range')
  t.throws(() => prove(bare.statement, bare.witness, entropy('x')), /P5/)
})

t.test('a range missing for one linked commitment refuses the whole (P5)', async (t) => {
  const example = transferCase(1000n, 400n)
  t.ok(verify(example.statement, prove(example.statement, example.witness, entropy('x'))))
  for (const missing of [0, 1]) {
    const ranges = example.statement.ranges.filter((_, i) => i !== missing)
    const bare: Case = { ...example, statement: { ...example.statement, ranges } }
    const forgery = forge(bare)
    t.ok(forgery.linkHolds && forgery.ringsHold)
    refused(t, bare, forgery, `without the range of commitment ${missing}`)
    t.throws(() => prove(bare.statement, bare.witness, entropy('x')), /P5/)
  }
  const twice = [example.statement.ranges[0]!, example.statement.ranges[0]!]
  const doubled: Case = { ...example, statement: { ...example.statement, ranges: twice } }
  refused(t, doubled, forge(doubled), 'one range twice does not stand for the other')
})

t.test('a ciphertext is a unit below n^2 of exact length (P2)', async (t) => {
  const { n, nn } = bob.publicKey
  const zero: NonNullable<Cheat['announce']> = (_, { a, b }) => ({ A: 0n, T: commit(a, b) ?? undefined })
  for (const c of [0n, n, 5n * n, nn - n]) {
    const example = withCiphertext(single(41n), 0, c)
    const forgery = forge(example, { announce: zero })
    t.ok(forgery.linkHolds && forgery.ringsHold, 'its equation holds for any value')
    refused(t, example, forgery, 'c divisible by n')
  }
  const one = withCiphertext(single(0n), 0, 1n)
  t.ok(verify(one.statement, forge(one).proof), '1 encrypts zero')
  const above = withCiphertext(single(0n), 0, nn + 1n)
  t.ok(forge(above).linkHolds)
  refused(t, above, forge(above), 'c above n^2')
  const padded = withCiphertext(single(0n), 0, 1n, 0n, 257)
  refused(t, padded, forge(padded), 'c with a byte too many')
  const short = withCiphertext(single(0n), 0, 1n, 0n, 255)
  refused(t, short, forge(short), 'c with a byte too few')
  const prime = bytesToBigint(exportPrivateKey(bob).slice(0, 64))
  const common = withCiphertext(single(41n), 0, prime)
  refused(t, common, forge(common), 'c that shares one prime with n')
})

t.test('z, w and v keep their bounds (P4)', async (t) => {
  const { zEnd, wStart, wEnd } = windowsOf(shapeOf(single(0n).statement)!.groups[0]!)
  t.equal(zEnd, 2n ** 248n - 2n ** 200n)
  t.equal(wStart, 2n ** (S + 129n))
  t.equal(wEnd, 2n ** (S + 184n) - 2n ** (S + 129n))
  // Value 0 and s = 0: z and w are the masks themselves, so that Mallory can put them where she likes.
  const zero = withCiphertext(single(0n), 0, 1n)
  const masked = (part: { readonly a?: bigint; readonly rho?: bigint }): Forgery =>
    forge(zero, { mask: (_, drawn) => ({ ...drawn, ...part }) })
  const inside = [{ a: 0n }, { a: zEnd - 1n }, { rho: wStart }, { rho: wEnd - 1n }]
  for (const part of inside) t.ok(verify(zero.statement, masked(part).proof), 'the edge of the window')
  const outside = [
    { a: zEnd },
    { a: 2n ** 248n - 1n },
    { rho: wStart - 1n },
    { rho: 0n },
    { rho: wEnd },
    { rho: 2n ** (S + 184n) - 1n },
  ]
  for (const part of outside) {
    const forgery = masked(part)
    t.ok(forgery.linkHolds && forgery.ringsHold)
    refused(t, zero, forgery, 'beyond the edge')
  }

  const negative = forge(single(41n), { mask: (_, drawn) => ({ ...drawn, a: 0n }) })
  t.ok(negative.linkHolds)
  refused(t, single(41n), negative, "z below zero, as two's complement")

  const unblinded = withOpening(single(0n), 41n, 0n)
  const s = randomness('v')
  const small = withCiphertext(unblinded, 0, encrypt(bob.publicKey, 41n, s), s)
  const v = (encoded: bigint): Forgery =>
    forge(small, {
      mask: (_, drawn) => ({ ...drawn, b: 5n }),
      encode: (group, response) => concatBytes(cutResponse(group, response).slice(0, -32), bigintToBytes(encoded, 32)),
    })
  t.ok(verify(small.statement, v(5n).proof))
  refused(t, small, v(5n + q), 'v + q is the same scalar and refused')
  t.ok(v(5n + q).linkHolds && v(5n + q).ringsHold)
})

t.test('z by the Chinese remainder theorem: different values, and only the bound on z tells', async (t) => {
  const s = randomness('crt')
  const example = withCiphertext(single(41n), 0, encrypt(bob.publicKey, 42n, s), s)
  const { n } = bob.publicKey
  let widest = 0n
  const forgery = forge(example, {
    respond(group, mask, [e]) {
      const { w, v } = answer(mask, [e!], secretsOf(example, group))
      const modN = mask.a - e! * 42n
      const modCurve = mask.a - e! * 41n
      const steps = ((modCurve - modN) * modInverse(n, q)!) % q
      const z = modN + n * (steps < 0n ? steps + q : steps)
      widest = z
      return { z, w, v }
    },
  })
  t.ok(forgery.linkHolds && forgery.ringsHold, 'a z of the length of n*q satisfies both equations')
  t.ok(widest >= 2n ** 248n)
  refused(t, example, forgery, 'cut to its field')
  const wide = bigintToBytes(widest, 160)
  const at = 32
  const stretched = concatBytes(forgery.proof.slice(0, at), wide, forgery.proof.slice(at + 31))
  t.notOk(verify(example.statement, stretched), 'in a longer field')
})

t.test('an h of the prover is of no use: it is derived from n (P2)', async (t) => {
  const { n, nn, h } = bob.publicKey
  const own = { ...bob.publicKey, h: (h * (1n + n)) % nn }
  const s = 1000n
  const example = withCiphertext(single(41n), 0, encrypt(own, 41n, s), s)
  t.equal(decrypt(bob, bytesToBigint(example.statement.links[0]!.value)), 1041n, 'it would shift the plaintext by s')
  const forgery = forge(example, { keys: (keys) => keys.map(() => own) })
  t.ok(forgery.linkHolds && forgery.ringsHold)
  refused(t, example, forgery, 'with the false h in the transcript')
  refused(t, example, forge(example), 'with the true one')
})

t.test('unequal amounts under two keys; a regulator ciphertext of 0; another amount for the payee', async (t) => {
  const example = transferCase(1000n, 400n)
  const owners = [keyOf('alice'), keyOf('alice'), bob, keyOf('carol')]
  const wrong: readonly (readonly [string, number, bigint])[] = [
    ['the payee gets one less', 2, 399n],
    ['the regulator sees 0', 3, 0n],
    ['the regulator sees one more', 3, 401n],
    ['the payer keeps one more', 1, 601n],
    ['the payer takes one less', 0, 399n],
    ['the payee gets n - 1', 2, bob.publicKey.n - 1n],
  ]
  for (const [name, link, amount] of wrong) {
    const s = randomness(name)
    const altered = withCiphertext(example, link, encrypt(owners[link]!.publicKey, amount, s), s)
    refused(t, altered, forge(altered), name)
    t.notOk(verify(altered.statement, prove(altered.statement, altered.witness, entropy(name))), `${name}, by prove`)
  }
  const silent = withCiphertext(example, 3, 1n)
  refused(t, silent, forge(silent), 'the regulator gets the constant 1')
})

t.test("A' = -1 and an amount of n - 1: Link holds, the range does not", async (t) => {
  const s = randomness('minus')
  const minus = withCiphertext(withOpening(single(0n), -1n, blinding('minus')), 0, encrypt(bob.publicKey, -1n, s), s)
  t.equal(decrypt(bob, bytesToBigint(minus.statement.links[0]!.value)), bob.publicKey.n - 1n)
  const forgery = forge(minus)
  t.ok(forgery.linkHolds)
  t.notOk(forgery.ringsHold)
  refused(t, minus, forgery, 'a value of -1')

  const more = transferCase(1000n, 1001n)
  t.equal(more.witness.openings[1]!.value, -1n, "everything is true but A' >= 0")
  const overdrawn = forge(more)
  t.ok(overdrawn.linkHolds)
  refused(t, more, overdrawn, "one more than the balance: A' = -1")
})

t.test('c and -c are the same value, and the sign buys nothing', async (t) => {
  // -1 = (-1)^n mod n^2 encrypts zero: (n-1)^n = -1. So -c decrypts as c does (its order divides lambda, which is even),
  // and a Link may hold for it: where e is even, (-c)^e = c^e. Half of Mallory's seeds do. The value is what it was.
  const example = single(41n)
  const { nn } = bob.publicKey
  const c = bytesToBigint(example.statement.links[0]!.value)
  t.equal(decrypt(bob, nn - c), 41n)
  t.equal(decrypt(bob, nn - 1n), 0n)
  t.equal(modPow(bob.publicKey.n - 1n, bob.publicKey.n, nn), nn - 1n, '-1 is an n-th power: no part of it is a value')
  const negated = withCiphertext(example, 0, nn - c, example.witness.randomness[0])
  let even = 0
  for (let i = 0; i < 12; i++) {
    const proof = prove(negated.statement, negated.witness, entropy(`sign ${i}`))
    const decoded = decodeProof(shapeOf(negated.statement)!, proof)!
    const isEven = linkChallenge(decoded.seed, 0, 0) % 2n === 0n
    if (isEven) even++
    t.equal(verify(negated.statement, proof), isEven)
  }
  t.ok(even > 0 && even < 12)
  // With another value no sign helps, whatever the challenge is.
  for (const sign of [1n, -1n]) {
    const s = randomness('sign')
    const other = ((encrypt(bob.publicKey, 42n, s) * sign) % nn) + (sign < 0n ? nn : 0n)
    const false_ = withCiphertext(example, 0, other, s)
    for (let i = 0; i < 6; i++) {
      t.notOk(verify(false_.statement, prove(false_.statement, false_.witness, entropy(`false ${i}`))))
    }
  }
})

t.test('each key has its own masks (P4)', async (t) => {
  const { statement, witness } = transferCase(1000n, 400n)
  const proof = prove(statement, witness, entropy('masks'))
  const shape = shapeOf(statement)!
  const { seed, responses } = decodeProof(shape, proof)!
  const masks = shape.groups.map((group, i) => {
    const { z, w, v } = responses[i]!
    const challenges = group.pairs.map((_, index) => linkChallenge(seed, group.key, index))
    const back = answer({ a: -z, rho: -w, b: -v }, challenges, secretsOf({ statement, witness }, group))
    return { a: -back.z, rho: -back.w, b: q - back.v }
  })
  t.equal(masks.length, 3)
  for (const part of ['a', 'rho', 'b'] as const) t.equal(new Set(masks.map((mask) => mask[part])).size, 3, part)
  t.ok(masks.every(({ a, rho }) => a >= 0n && a < 2n ** 248n && rho >= 0n && rho < 2n ** (S + 184n)))
})

t.test('sixteen pairs under one key, and not one more (P4)', async (t) => {
  const many = (m: number): Case => {
    const values = Array.from({ length: m }, (_, i) => BigInt(i * 4000))
    const openings = values.map((value, i) => ({ value, blinding: blinding(`m${i}`) }))
    const statement: Statement = {
      ...single(0n).statement,
      keys: [namedKey('bob', bob)],
      commitments: openings.map(({ value, blinding }) => commit(value, blinding)),
      links: values.map((value, commitment) => ({
        key: 0,
        commitment,
        value: encodeCiphertext(bob.publicKey, encrypt(bob.publicKey, value, randomness(`m${commitment}`))),
      })),
      ranges: values.map((_, commitment) => ({ commitment, minimum: 0n })),
    }
    return { statement, witness: { openings, randomness: values.map((_, i) => randomness(`m${i}`)) } }
  }
  const sixteen = many(16)
  t.ok(verify(sixteen.statement, prove(sixteen.statement, sixteen.witness, entropy('m'))))
  const seventeen = many(17)
  refused(t, seventeen, forge(seventeen), 'seventeen')
  t.throws(() => prove(seventeen.statement, seventeen.witness, entropy('m')), /P5/)
})

t.test('restart: a prover never answers outside the windows; a negative s (P7) fits into them', async (t) => {
  const example = transferCase(1000n, 400n)
  const group = shapeOf(example.statement)!.groups[0]!
  const { zEnd, wStart, wEnd } = windowsOf(group)
  t.equal(zEnd, 2n ** 248n - 2n * 2n ** 200n, 'm = 2')
  const secret = (value: bigint, s: bigint) => [
    { value, s, blinding: 1n },
    { value: 0n, s: 0n, blinding: 1n },
  ]
  const e = 2n ** 128n - 1n
  const middle = { a: 2n ** 247n, rho: 2n ** (S + 183n), b: 1n }
  const answers = (mask: Partial<typeof middle>, value: bigint, s: bigint) =>
    respond(group, { ...middle, ...mask }, [e, e], secret(value, s))
  for (const s of [2n ** S - 1n, 1n - 2n ** S, 0n]) t.ok(answers({}, 2n ** 64n - 1n, s), 'the longest secrets')
  t.equal(answers({ a: 0n }, 1n, 0n), undefined)
  t.equal(answers({ a: e * 5n - 1n }, 5n, 0n), undefined)
  t.same(answers({ a: e * 5n }, 5n, 0n)?.z, 0n)
  t.equal(answers({ a: zEnd }, 0n, 0n), undefined)
  t.equal(answers({ rho: wStart - 1n }, 0n, 0n), undefined)
  t.equal(answers({ rho: wStart }, 0n, 1n), undefined)
  t.equal(answers({ rho: wStart }, 0n, 0n)?.w, wStart)
  t.equal(answers({ rho: wEnd - 1n }, 0n, -1n), undefined, 'a negative s at the upper end')
  // Whatever |s| < 2^S is, every w of the window has its mask: nothing of s shows.
  for (const s of [2n ** S - 1n, 1n - 2n ** S]) {
    for (const w of [wStart, wEnd - 1n]) {
      const rho = w + e * s
      t.ok(rho >= 0n && rho < 2n ** BigInt(wBits(group.publicKey)))
      t.equal(answers({ rho }, 0n, s)?.w, w)
    }
  }
})

t.test('Link and range are exported by no other door than prove and verify', async (t) => {
  const folder = new URL('src/', ROOT)
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const importers = files.filter((file) =>
    /from '[^']*\/(link|range)\.js'/.test(readFileSync(new URL(file, folder), 'utf8')),
  )
  t.same(importers.filter((file) => file.startsWith('privacy/')).sort(), [
    'privacy/proof-layout.ts',
    'privacy/proof-shape.ts',
    'privacy/proof.ts',
  ])
  const outside = files.filter((file) =>
    /privacy\/(link|range|proof-\w+|transcript)\.js'/.test(readFileSync(new URL(file, folder), 'utf8')),
  )
  t.same(
    outside.filter((file) => !file.startsWith('privacy/')),
    [],
  )
})
