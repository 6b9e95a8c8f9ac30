import t, { type Test } from 'tap'
import { bigintToBytes, bytesToHex } from '../../src/base/bytes.js'
import { MeridianError } from '../../src/base/errors.js'
import { checkDigest, runCheck } from '../../src/privacy/check.js'
import {
  addCiphertexts,
  encodeCiphertext,
  encodeModulus,
  encrypt,
  encryptOwn,
  exportPrivateKey,
  randomizer,
  verifyRollover,
} from '../../src/privacy/paillier.js'
import { createPool } from '../../src/privacy/pool.js'
import { prove, proving, verifying } from '../../src/privacy/proof.js'
import { proofWork } from '../../src/privacy/proof-work.js'
import { type Divided, type Findings, mergeFindings, type Share } from '../../src/privacy/shares.js'
import type { ProofCheck } from '../../src/privacy/statement.js'
import { entropy, feeCase, keyOf, randomness, transferCase } from './support.js'
import { watchWorkers } from './watch.js'

const alice = keyOf('alice')
const { publicKey } = alice
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof MeridianError ? error.code : `${error}`),
  )

/** Most tests share it: a worker takes a second to start from source. */
const pool = createPool({ threads: 2 })
t.teardown(() => pool.close())

t.test('proving and verifying happen in the workers, none of it on this thread (P8)', async (t) => {
  const { statement, witness } = feeCase(41n)
  const before = proofWork()
  const proofs = await Promise.all([pool.prove(statement, witness), pool.prove(statement, witness)])
  t.notSame(proofs[0], proofs[1], 'each proof has entropy of its own')
  for (const proof of proofs) t.ok(await pool.verify({ type: 'statement', statement, proof }, 'urgent'))
  const other = { ...statement, role: 'payee' }
  t.notOk(await pool.verify({ type: 'statement', statement: other, proof: proofs[0]! }))
  t.same(proofWork(), before, 'no call on the main thread')
  t.ok(runCheck({ type: 'statement', statement, proof: proofs[0]! }))
  t.same(proofWork(), { ...before, verified: before.verified + 1 }, 'the counter does count')
})

/** Two shares of one computation; `between` sees what each has found, and may alter what the other hears of it. */
function inTwo<T>(
  t: Test,
  work: (share: Share) => Divided<T>,
  between: (findings: Findings) => Findings = (all) => all,
): T[] {
  const both = [0, 1].map((index) => work({ index, of: 2 }))
  let steps = both.map((one) => one.next([]))
  while (steps.every((step) => step.done !== true)) {
    const found = steps.map((step) => step.value as Findings)
    t.ok(
      found[0]!.every((bytes, i) => (bytes === undefined) !== (found[1]![i] === undefined)),
      'every item is done once',
    )
    steps = both.map((one, i) => one.next(mergeFindings(found[i]!, between(found[1 - i]!))))
  }
  return steps.map((step) => step.value as T)
}

t.test('P5, P6: a proof made by two is the proof made by one; so is a verdict', async (t) => {
  for (const { statement, witness } of [feeCase(41n), transferCase(5000n, 1234n)]) {
    const proof = prove(statement, witness, entropy('shares'))
    t.same(prove(statement, witness, entropy('shares'), alice), proof, "by the prover's own key")
    const made = inTwo(t, (share) => proving(statement, witness, entropy('shares'), alice, share))
    t.same(made, [proof, proof])
    const verdicts = (bytes: Uint8Array, between?: (findings: Findings) => Findings) =>
      inTwo(t, (share) => verifying(statement, bytes, share), between)
    t.same(verdicts(proof), [true, true])
    for (const at of [40, proof.length - 1, proof.length - 4 * 32 - 1]) {
      t.same(verdicts(proof.with(at, proof[at]! ^ 1)), [false, false], `byte ${at}`)
    }
    const missing = (findings: Findings) => findings.map(() => undefined)
    t.same(
      verdicts(proof, (found) => missing(found)),
      [false, false],
      'what the other has not said is not taken for granted',
    )
    t.same(
      verdicts(proof, (found) => found.map((bytes) => bytes && null)),
      [false, false],
      'nor what failed',
    )
    for (let item = 0; item < statement.keys.length + 8; item++) {
      const altered = (found: Findings) =>
        found.map((bytes, i) => (i === item && bytes ? bytes.with(5, bytes[5]! ^ 1) : bytes))
      t.ok(verdicts(proof, altered).includes(false), `item ${item} counts`)
    }
  }
})

t.test('jobs with a private key name it by its handle', async (t) => {
  const exported = await pool.privateKeyFromSeed(entropy('pool key'), 1024)
  t.equal(exported.length, 128)
  const key = await pool.openKey(exportPrivateKey(alice))
  t.same(key.n, encodeModulus(publicKey))
  const s = randomness('pool')
  const c = await pool.encryptOwn(key, 5n, s)
  t.equal(c, encrypt(publicKey, 5n, s))
  t.equal(await pool.encrypt(key.n, 5n, s), c)
  t.equal(await pool.randomizerOwn(key, s), randomizer(publicKey, s))
  t.equal(await pool.randomizer(key.n, s), randomizer(publicKey, s))
  const decrypted = await Promise.all(Array.from({ length: 6 }, () => pool.decrypt(key, c)))
  t.same(decrypted, [5n, 5n, 5n, 5n, 5n, 5n], 'every worker has the key')

  const product = addCiphertexts(publicKey, c, encrypt(publicKey, 7n, randomness('credit')))
  const fresh = encryptOwn(alice, 12n, randomness('fresh'))
  const root = await pool.rootOfRollover(key, product, fresh)
  t.ok(verifyRollover(publicKey, product, fresh, root))

  const account = new Uint8Array(33).fill(2)
  const proof = await pool.proveKey(key, account)
  const check: ProofCheck = { type: 'key', n: key.n, account, proof }
  t.ok(await pool.verify(check))
  t.notOk(await pool.verify({ ...check, account: new Uint8Array(33).fill(3) }), "another account's proof")

  const second = await pool.openKey(exported)
  t.not(second.id, key.id)
  t.equal(await pool.decrypt(second, await pool.encrypt(second.n, 9n, s)), 9n)
  await pool.closeKey(second)
  t.equal(await codeOf(pool.decrypt(second, c)), 'internal', 'a closed key is gone')
  t.equal(await pool.decrypt(key, c), 5n, 'and the other is still there')
})

t.test('a full queue refuses; urgent jobs go first; close drains and ends', async (t) => {
  const pool = createPool({ threads: 1, queue: 3 })
  const { statement, witness } = feeCase(41n)
  const order: string[] = []
  const job = (name: string, lane: 'urgent' | 'normal') =>
    pool.prove(statement, witness, lane).then((proof) => {
      order.push(name)
      return proof.length
    })
  const jobs = [job('running', 'normal'), job('first', 'normal'), job('second', 'normal'), job('urgent', 'urgent')]
  t.equal(await codeOf(job('too many', 'urgent')), 'busy')
  const closed = pool.close()
  t.equal(await codeOf(job('late', 'urgent')), 'unavailable')
  t.equal(new Set(await Promise.all(jobs)).size, 1, 'what was accepted is answered')
  t.same(order, ['running', 'urgent', 'first', 'second'])
  await closed
  await pool.close()
  t.equal(await codeOf(job('later', 'normal')), 'unavailable')
})

t.test('a job that throws rejects, without its inputs, and the worker goes on', async (t) => {
  const { statement, witness } = feeCase(41n)
  const wrong = { ...witness, openings: [{ value: 424_242n, blinding: 1n }] }
  const error = await pool.prove(statement, wrong).catch((error: unknown) => error)
  t.ok(error instanceof MeridianError && error.code === 'internal')
  t.match(`${error}`, /P5/)
  t.notMatch(`${error}`, /424242/)
  t.equal(await codeOf(pool.privateKeyFromSeed(new Uint8Array(4), 1024)), 'internal')
  t.equal(await codeOf(pool.openKey(new Uint8Array(128).fill(255))), 'internal')
  t.ok((await pool.prove(statement, witness)).length > 0)
})

t.test('a worker that dies costs its own job; another takes its place, with every open key', async (t) => {
  const workers = watchWorkers(t)
  const pool = createPool({ threads: 2 })
  t.teardown(() => pool.close())
  const key = await pool.openKey(exportPrivateKey(alice))
  const closed = await pool.openKey(exportPrivateKey(alice))
  await pool.closeKey(closed)
  const c = await pool.encryptOwn(key, 5n, randomness('died'))
  const decrypted = () => Promise.all(Array.from({ length: 4 }, () => pool.decrypt(key, c)))

  const { statement, witness } = feeCase(41n)
  const [lost, kept] = [pool.prove(statement, witness), pool.prove(statement, witness)]
  const waiting = pool.decrypt(key, c)
  await workers[0]!.terminate()
  t.equal(await codeOf(lost), 'unavailable', 'ended from outside')
  t.equal(await codeOf(kept), 'resolved')
  t.equal(await waiting, 5n)

  const ended = new Promise((resolve) => workers[1]!.on('exit', resolve))
  workers[1]!.postMessage(null)
  await ended
  t.same(await decrypted(), [5n, 5n, 5n, 5n], 'ended by an uncaught error, idle')
  t.equal(workers.length, 4, 'one for each that died')
  const all = await Promise.all([pool.decrypt(closed, c), pool.decrypt(closed, c)].map(codeOf))
  t.same(all, ['internal', 'internal'], 'a closed key is handed to nobody')

  for (const worker of [2, 3]) {
    await pool.openKey(exportPrivateKey(alice)) // answered by each thread: both are idle
    const shared = pool.prove(statement, witness)
    await workers[worker]!.terminate()
    t.equal(await codeOf(shared), 'unavailable', 'a job of two threads does not outlive either of them')
  }
  const proof = await pool.prove(statement, witness, 'urgent', key)
  t.ok(await pool.verify({ type: 'statement', statement, proof }), 'and the next is made')
  t.notOk(await pool.verify({ type: 'statement', statement, proof: proof.with(3, proof[3]! ^ 1) }))

  const later = await pool.openKey(exportPrivateKey(alice))
  t.equal(await pool.decrypt(later, c), 5n)
  for (const worker of workers) await worker.terminate()
  t.same(await decrypted(), [5n, 5n, 5n, 5n], 'all of them')
})

t.test('checks: every type has its verdict and its own digest', async (t) => {
  const n = encodeModulus(publicKey)
  const bytes = (c: bigint) => encodeCiphertext(publicKey, c)
  const product = encrypt(publicKey, 5n, 3n)
  const key = await pool.openKey(exportPrivateKey(alice))
  const fresh = encrypt(publicKey, 5n, 4n)
  const root = bigintToBytes(await pool.rootOfRollover(key, product, fresh), 128)
  const check = { type: 'rollover', n, product: bytes(product), fresh: bytes(fresh), root } as const
  t.ok(runCheck(check))
  const wrong: Record<string, ProofCheck> = {
    'another value': { ...check, fresh: bytes(encrypt(publicKey, 6n, 4n)) },
    'a zero product': { ...check, product: bytes(0n) },
    'zero on both sides': { ...check, product: bytes(0n), fresh: bytes(0n) },
    'a long root': { ...check, root: new Uint8Array([0, ...root]) },
    'a zero root': { ...check, root: new Uint8Array(128) },
    'a short modulus': { ...check, n: n.slice(1) },
    'an even modulus': { ...check, n: n.with(127, 0) },
    'no bytes': { ...check, product: new Uint8Array(0) },
  }
  for (const [name, value] of Object.entries(wrong)) t.notOk(runCheck(value), name)
  const all: ProofCheck[] = [check, ...Object.values(wrong)]
  const { statement } = feeCase(1n)
  all.push({ type: 'statement', statement, proof: root })
  all.push({ type: 'statement', statement: { ...statement, context: statement.context.slice(1) }, proof: root })
  all.push({ type: 'statement', statement, proof: n })
  all.push({ type: 'key', n, account: root, proof: root }, { type: 'key', n, account: root, proof: n })
  for (const one of all.slice(-5)) t.notOk(runCheck(one))
  t.equal(new Set(all.map((one) => bytesToHex(checkDigest(one)))).size, all.length)
})
