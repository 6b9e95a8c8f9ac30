/** Completeness of proofs for every honest input, and P6: a proof holds for its own statement and no other. */
import fc from 'fast-check'
import t from 'tap'
import { bytesToHex, concatBytes, utf8 } from '../../src/base/bytes.js'
import { sha256, taggedHash } from '../../src/base/digest.js'
import { commit, H } from '../../src/privacy/commitment.js'
import { encodeCiphertext, encrypt } from '../../src/privacy/paillier.js'
import { prove, verify } from '../../src/privacy/proof.js'
import { decodeProof, proofLength } from '../../src/privacy/proof-layout.js'
import { shapeOf } from '../../src/privacy/proof-shape.js'
import { proofWork } from '../../src/privacy/proof-work.js'
import type { Statement } from '../../src/privacy/statement.js'
import {
  hedgedNonces,
  linkChallenge,
  linkSeed,
  openTranscript,
  positionChallenges,
  rangeMessage,
  ringsChallenge,
  statementParts,
} from '../../src/privacy/transcript.js'
import { forge } from './mallory.js'
import { blinding, type Case, entropy, feeCase, keyOf, namedKey, randomness, transferCase } from './support.js'

const bob = keyOf('bob')
const proves = ({ statement, witness }: Case, label = 'x'): boolean =>
  verify(statement, prove(statement, witness, entropy(label)))

t.test('complete: every honest amount, at its edges and between, for every L', async (t) => {
  const bits = fc.constantFrom(16, 20, 48, 64)
  const value = bits.chain((L) => {
    const top = 2n ** BigInt(L) - 1n
    return fc.tuple(
      fc.constant(L),
      fc.oneof(fc.constantFrom(0n, 1n, 2n, top - 1n, top), fc.bigInt({ min: 0n, max: top })),
    )
  })
  fc.assert(
    fc.property(value, fc.constantFrom(0n as const, 1n as const), fc.nat(), ([L, v], minimum, label) => {
      t.ok(proves(feeCase(v + minimum, { bits: L, minimum, keys: ['bob'] }), `${label}`))
    }),
    { numRuns: 25 },
  )
  const transfer = fc
    .tuple(fc.bigInt({ min: 1n, max: 65_535n }), fc.bigInt({ min: 1n, max: 65_535n }))
    .map(([a, b]) => (a > b ? { balance: a, amount: b } : { balance: b, amount: a }))
  fc.assert(
    fc.property(transfer, ({ balance, amount }) => {
      t.ok(proves(transferCase(balance, amount)))
    }),
    { numRuns: 8 },
  )
  t.ok(proves(transferCase(2n ** 48n - 1n, 2n ** 48n - 1n, 48)), 'everything spent')
})

t.test('the bytes of a proof follow from statement, witness and entropy, for ever', async (t) => {
  const digestOf = ({ statement, witness }: Case): string =>
    bytesToHex(sha256(prove(statement, witness, entropy('vector'))))
  // Made by the code of 2026-11-22 (e7513a5), before the work of a proof was divided.
  t.equal(digestOf(feeCase(41n)), 'e0ff6246fa34fd6fe398b8abef441d834d67de0b1994c088cfd0eb9336fb3b13')
  t.equal(digestOf(transferCase(5000n, 1234n)), '3135da7b32652cc1275fd21ae4f12fe8ab5f8cfc4f0058278d61d65fbd226ca8')
})

t.test('a key of 2048 bits, L = 48', async (t) => {
  const { statement, witness } = transferCase(10_000_00n, 1_241_22n, 48, 2048)
  const proof = prove(statement, witness, entropy('2048'))
  t.ok(verify(statement, proof))
  t.equal(
    proof.length,
    32 + 3 * (31 + 55 + 32) + 2 * (23 * 33 + 24 * 128) + 32,
    'its length follows from the statement',
  )
  t.notOk(verify({ ...statement, role: 'payee' }, proof))
  t.notOk(verify(statement, proof.with(40, proof[40]! ^ 1)))
})

/** Every way to alter one item of a statement, by name. */
function alterations(statement: Statement): Record<string, Statement> {
  const { context, keys, commitments, links, ranges } = statement
  const all: Record<string, Statement> = {}
  const flip = (bytes: Uint8Array, at = bytes.length - 1): Uint8Array => bytes.with(at, bytes[at]! ^ 1)
  const put = (name: string, patch: Partial<Statement>): void => {
    all[name] = { ...statement, ...patch }
  }
  put('kind', { kind: 'redeem' })
  put('role', { role: 'payee' })
  put('kind and role, the same letters', { kind: `${statement.kind}p`, role: statement.role.slice(1) })
  put('bits', { bits: statement.bits + 2 })
  for (const [i, item] of context.entries()) {
    put(`context ${i}: ${new TextDecoder().decode(item)}`, { context: context.with(i, flip(item)) })
    put(`context without ${i}`, { context: context.filter((_, at) => at !== i) })
  }
  put('context in another order', { context: context.toReversed() })
  put('context with one more item', { context: [...context, new Uint8Array(0)] })
  put('context with two items as one', { context: [concatBytes(context[0]!, context[1]!), ...context.slice(2)] })
  for (const [i, key] of keys.entries()) {
    put(`role of key ${i}`, { keys: keys.with(i, { ...key, role: `${key.role}'` }) })
    put(`n of key ${i}`, { keys: keys.with(i, { ...key, n: flip(key.n, 1) }) })
    put(`n of key ${i}, another account's`, { keys: keys.with(i, { ...key, n: namedKey('', keyOf('dave')).n }) })
  }
  const exchange = <T>(items: readonly T[], a: number, b: number): T[] => items.with(a, items[b]!).with(b, items[a]!)
  put('two keys swapped with their links', {
    keys: exchange(keys, 1, 2),
    links: links.map((link) => ({ ...link, key: [0, 2, 1][link.key]! })),
  })
  put('roles swapped', {
    keys: keys.map((key, i) => ({ ...key, role: keys[[0, 2, 1][i]!]!.role })),
  })
  put('one more key', { keys: [...keys, keys[0]!] })
  for (const [i, link] of links.entries()) {
    put(`ciphertext ${i}`, { links: links.with(i, { ...link, value: flip(link.value) }) })
    put(`commitment of link ${i}`, { links: links.with(i, { ...link, commitment: 1 - link.commitment }) })
    put(`key of link ${i}`, { links: links.with(i, { ...link, key: (link.key + 1) % 3 }) })
  }
  put('pairs of a key swapped', { links: exchange(links, 0, 1) })
  put('links of two keys in another order', { links: exchange(links, 2, 3) })
  put('ciphertexts swapped', { links: links.map((link, i) => ({ ...link, value: links[[1, 0, 3, 2][i]!]!.value })) })
  put('one link less', { links: links.slice(0, -1) })
  put('one link twice', { links: [...links, links[3]!] })
  for (const i of commitments.keys()) {
    put(`commitment ${i}`, { commitments: commitments.with(i, H) })
    put(`commitment ${i} infinite`, { commitments: commitments.with(i, null) })
    const range = ranges[i]!
    put(`minimum of range ${i}`, { ranges: ranges.with(i, { ...range, minimum: range.minimum === 0n ? 1n : 0n }) })
  }
  put('one more commitment', { commitments: [...commitments, H] })
  put('commitments swapped, with what names them', {
    commitments: exchange(commitments, 0, 1),
    links: links.map((link) => ({ ...link, commitment: 1 - link.commitment })),
    ranges: ranges.map((range) => ({ ...range, commitment: 1 - range.commitment })),
  })
  put('ranges in another order', { ranges: exchange(ranges, 0, 1) })
  return all
}

t.test('P6: every item of the transcript, altered in turn', async (t) => {
  // Equal halves: what is swapped then differs in its place alone.
  const { statement, witness } = transferCase(800n, 400n)
  const proof = prove(statement, witness, entropy('flip'))
  t.ok(verify(statement, proof))
  const all = Object.entries(alterations(statement))
  t.ok(all.length > 50)
  for (const [name, altered] of all) t.notOk(verify(altered, proof), name)
  t.equal(
    new Set(all.map(([, altered]) => partsText(altered))).size,
    all.length,
    'no two statements share a transcript',
  )
  t.notOk(all.some(([, altered]) => partsText(altered) === partsText(statement)))
})

const partsText = (statement: Statement): string => statementParts(statement).map(bytesToHex).join()

t.test('P6: a proof is of no use on another ledger, account, nonce, channel, version or in another role', async (t) => {
  const base = feeCase(41n)
  const bound = (
    patch: Partial<Record<'ledger' | 'account' | 'nonce' | 'channel' | 'version', string>>,
  ): Statement => ({
    ...base.statement,
    context: Object.values({ ledger: 'L', account: 'alice', nonce: '7', channel: 'C', version: '3', ...patch }).map(
      utf8,
    ),
  })
  const proof = prove(bound({}), base.witness, entropy('replay'))
  t.ok(verify(bound({}), proof))
  for (const item of ['ledger', 'account', 'nonce', 'channel', 'version'] as const) {
    t.notOk(verify(bound({ [item]: 'other' }), proof), item)
    const there = bound({ [item]: 'other' })
    const forgery = forge({ statement: there, witness: base.witness }, { transcriptOf: bound({}) })
    t.notOk(verify(there, forgery.proof), `${item}, by Mallory with the witness but the wrong transcript`)
  }
  t.notOk(verify({ ...bound({}), role: 'payee' }, proof))
})

t.test('P6: the derived h is in the transcript, and no item runs into the next', async (t) => {
  const { statement } = feeCase(41n)
  const keys = shapeOf(statement)!.keys
  const other = keys.map((key) => ({ ...key, h: key.h + 1n }))
  t.notSame(openTranscript(statement, keys), openTranscript(statement, other))
  const pairs: [Uint8Array[], Uint8Array[]][] = [
    [
      [utf8('ab'), utf8('c')],
      [utf8('a'), utf8('bc')],
    ],
    [[utf8('')], []],
    [[utf8('a')], [utf8('a'), utf8('')]],
  ]
  const bare: Statement = { ...statement, context: [], keys: [], links: [], ranges: [], commitments: [] }
  t.not(partsText({ ...bare, context: [H] }), partsText({ ...bare, commitments: [H] }), 'lists have their lengths')
  for (const [one, two] of pairs) {
    const digests = [one, two].map((context) => openTranscript({ ...statement, context }, keys))
    t.notSame(digests[0], digests[1])
  }
})

t.test('P6: every challenge covers all that came before it, and its own place', async (t) => {
  const [one, two] = [taggedHash('one'), taggedHash('two')]
  const mask = { A: utf8('A'), T: H }
  const e = positionChallenges(one)(0, 0, one)
  const different: Record<string, readonly unknown[]> = {
    'the position': [
      e,
      positionChallenges(two)(0, 0, one),
      positionChallenges(one)(1, 0, one),
      positionChallenges(one)(0, 1, one),
      positionChallenges(one)(0, 0, two),
    ],
    e0: [ringsChallenge(one, [H, H]), ringsChallenge(two, [H, H]), ringsChallenge(one, [H])],
    e_i: [linkChallenge(one, 0, 0), linkChallenge(two, 0, 0), linkChallenge(one, 1, 0), linkChallenge(one, 0, 1)],
    'the seed': [
      linkSeed(one, [mask]),
      linkSeed(two, [mask]),
      linkSeed(one, [mask, mask]),
      linkSeed(one, [{ ...mask, A: utf8('B') }]),
      linkSeed(one, [{ ...mask, T: commit(2n, 0n)! }]),
    ],
    'the message of the rings': [
      rangeMessage(one, one, one, [[H, H]]),
      rangeMessage(two, one, one, [[H, H]]),
      rangeMessage(one, two, one, [[H, H]]),
      rangeMessage(one, one, two, [[H, H]]),
      rangeMessage(one, one, one, [[H]]),
      rangeMessage(one, one, one, [[H], [H]]),
    ],
  }
  for (const [name, values] of Object.entries(different)) t.equal(new Set(values.map(String)).size, values.length, name)
  t.equal(linkChallenge(one, 2, 3), 0x696db492af96da157e99fe39f47d901fn, 'a literal vector: 128 bits')
})

t.test('P6: nonces are hedged by witness, transcript and entropy', async (t) => {
  const { statement, witness } = feeCase(41n)
  const proof = prove(statement, witness, entropy('a'))
  t.same(prove(statement, witness, entropy('a')), proof, 'the same three give the same proof')
  t.notSame(prove(statement, witness, entropy('b')), proof)
  // Broken entropy: still no mask is used for two statements, nor for two witnesses.
  const transcript = openTranscript(statement, shapeOf(statement)!.keys)
  const elsewhere = openTranscript({ ...statement, role: 'payee' }, shapeOf(statement)!.keys)
  const other = { ...witness, randomness: witness.randomness.map((s) => s + 1n) }
  const zero = new Uint8Array(32)
  const first = [
    hedgedNonces(witness, transcript, zero, 0),
    hedgedNonces(witness, transcript, zero, 1),
    hedgedNonces(witness, elsewhere, zero, 0),
    hedgedNonces(other, transcript, zero, 0),
    hedgedNonces({ ...witness, openings: [{ value: 42n, blinding: 1n }] }, transcript, zero, 0),
  ].map((nonces) => bytesToHex(nonces.bytes(32)))
  t.equal(new Set(first).size, first.length)
  const long = hedgedNonces(witness, transcript, zero, 0)
  const draws = Array.from({ length: 400 }, () => bytesToHex(long.bytes(31)))
  t.equal(new Set(draws).size, 400, 'the stream does not repeat over its blocks')
})

t.test('a proof has one encoding; hostile bytes are false and throw nothing', async (t) => {
  const { statement, witness } = feeCase(41n)
  const shape = shapeOf(statement)!
  const proof = prove(statement, witness, entropy('hostile'))
  t.equal(proof.length, proofLength(shape))
  t.ok(decodeProof(shape, proof))
  for (const length of [0, 1, 31, 32, proof.length - 1, proof.length + 1, 100_000]) {
    t.notOk(verify(statement, new Uint8Array(length).fill(1)))
    t.notOk(verify(statement, concatBytes(proof, new Uint8Array(length)).slice(0, length)))
  }
  const zW = 31 + 55
  for (const at of [0, 31, 32, 62, 63, 117, 118, 149, 150 + zW, 268 + 33, proof.length - 1]) {
    t.notOk(verify(statement, proof.with(at, proof[at]! ^ 128)), `byte ${at}`)
  }
  fc.assert(
    fc.property(fc.nat(proof.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      t.notOk(verify(statement, proof.with(at, proof[at]! ^ by)))
    }),
    { numRuns: 60 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ minLength: proof.length, maxLength: proof.length }), (bytes) => {
      t.notOk(verify(statement, bytes))
    }),
    { numRuns: 20 },
  )
  t.ok(verify(statement, Buffer.from(proof)), 'a Buffer is bytes as well')
})

t.test('a malformed statement proves nothing and throws nothing', async (t) => {
  const { statement, witness } = feeCase(41n)
  const proof = prove(statement, witness, entropy('malformed'))
  const [key, link] = [statement.keys[0]!, statement.links[0]!]
  const keys = (n: Uint8Array): Partial<Statement> => ({ keys: statement.keys.with(0, { ...key, n }) })
  const links = (patch: Partial<typeof link>): Partial<Statement> => ({
    links: statement.links.with(0, { ...link, ...patch }),
  })
  const malformed: Record<string, Partial<Statement>> = {
    'no modulus': keys(new Uint8Array(0)),
    'a zero modulus': keys(new Uint8Array(128)),
    'an even modulus': keys(key.n.with(127, key.n[127]! & 254)),
    'a short modulus': keys(key.n.slice(1)),
    'a padded modulus': keys(concatBytes(new Uint8Array(1), key.n)),
    'a long modulus': keys(new Uint8Array(1024).fill(255)),
    'no ciphertext': links({ value: new Uint8Array(0) }),
    'a zero ciphertext': links({ value: new Uint8Array(256) }),
    'a link to no key': links({ key: 9 }),
    'a link to key -1': links({ key: -1 }),
    'a link to no commitment': links({ commitment: 9 }),
    'no range': { ranges: [] },
    'a range of no commitment': { ranges: [{ commitment: 3, minimum: 0n }] },
    'no commitment': { commitments: [] },
    'a commitment of no bytes': { commitments: [new Uint8Array(0) as typeof H] },
    'an uncompressed commitment': { commitments: [new Uint8Array(65).fill(4) as typeof H] },
    'a commitment of zeros': { commitments: [new Uint8Array(33) as typeof H] },
  }
  for (const [name, patch] of Object.entries(malformed)) {
    t.notOk(verify({ ...statement, ...patch }, proof), name)
    t.throws(() => prove({ ...statement, ...patch }, witness, entropy('x')), `${name}: prove refuses`)
  }
  // P5: every link needs its range, not only one of them.
  const paid = transferCase(50n, 7n)
  for (const at of paid.statement.ranges.keys()) {
    const ranges = paid.statement.ranges.filter((_, i) => i !== at)
    t.throws(() => prove({ ...paid.statement, ranges }, paid.witness, entropy('x')), `without range ${at}`)
  }
})

t.test('what a caller must not ask of prove', async (t) => {
  const { statement, witness } = feeCase(41n)
  const limit = 2n ** 256n
  for (const s of [limit, -limit, limit * 2n]) {
    t.throws(() => prove(statement, { ...witness, randomness: [s, 0n] }, entropy('x')), /P4/, 's too long')
  }
  for (const s of [limit - 1n, 1n - limit]) {
    const own = { ...statement, links: [{ ...statement.links[0]!, value: ciphertextOf(41n, s) }] }
    t.ok(proves({ statement: own, witness: { ...witness, randomness: [s] } }), 'the longest s, either sign')
  }
  t.throws(() => prove(statement, { ...witness, randomness: [] }, entropy('x')), /P5/)
  try {
    prove(statement, { ...witness, openings: [{ value: 424_242n, blinding: 99_999n }] }, entropy('x'))
    t.fail('out of range')
  } catch (error) {
    t.notMatch(`${error}`, /424242|99999/, 'an error names no secret')
  }
})

const ciphertextOf = (value: bigint, s: bigint): Uint8Array =>
  encodeCiphertext(bob.publicKey, encrypt(bob.publicKey, value, s))

t.test('a key without links, one modulus in two roles, commitments that cancel', async (t) => {
  const { statement, witness } = feeCase(41n)
  t.ok(proves({ statement: { ...statement, keys: [...statement.keys, namedKey('watcher', keyOf('dave'))] }, witness }))
  t.ok(proves(feeCase(41n, { keys: ['bob', 'bob'] })), 'the regulator is the payee')
  const r = blinding('cancel')
  const openings = [
    { value: 41n, blinding: r },
    { value: 41n, blinding: -r },
  ]
  const links = [0, 1].map((commitment) => ({ key: 0, commitment, value: ciphertextOf(41n, randomness('cancel')) }))
  const both: Statement = {
    ...statement,
    commitments: openings.map(({ value, blinding }) => commit(value, blinding)),
    links,
    ranges: openings.map((_, commitment) => ({ commitment, minimum: 0n })),
  }
  t.ok(proves({ statement: both, witness: { openings, randomness: [randomness('cancel'), randomness('cancel')] } }))
})

t.test('the work of this thread is counted', async (t) => {
  const before = proofWork()
  const { statement, witness } = feeCase(1n)
  verify(statement, prove(statement, witness, entropy('count')))
  t.same(proofWork(), { ...before, proved: before.proved + 1, verified: before.verified + 1 })
})
