/** L10: every refusal code of the ledger group is reached, each by one defect in a transaction that is valid otherwise. */

import { readFileSync } from 'node:fs'
import t from 'tap'
import { bigintToBytes, bytesToBigint } from '../../src/base/bytes.js'
import { cbor } from '../../src/base/codec.js'
import { curve, q, type Signature } from '../../src/base/curve/index.js'
import { ERRORS, type ErrorCode } from '../../src/base/errors.js'
import type { Genesis } from '../../src/base/genesis.js'
import { LIMITS } from '../../src/base/limits.js'
import { ROOT } from '../../src/base/root.js'
import {
  decodeTransaction,
  encodeTransaction,
  type Transaction,
  type TransactionOf,
} from '../../src/base/transaction.js'
import { channelIdOf } from '../../src/chain-adapter/contract/channel-rules.js'
import { checkGenesis } from '../../src/chain-adapter/contract/genesis.js'
import { runCheck } from '../../src/privacy/check.js'
import { fund, mint, redeem, register, rollover, transfer } from './account-transactions.js'
import {
  closeChannel,
  exit,
  lock,
  openChannel,
  punish,
  reveal,
  settle,
  signState,
  supersede,
} from './channel-transactions.js'
import { type Role, role, signedBy, signedByBoth, World } from './world.js'

const [alice, bob, carol, issuer] = [role('alice'), role('bob'), role('carol'), role('issuer')]
const stranger = role('stranger')
const purses = new Map([
  [alice, 1_000n],
  [bob, 500n],
  [carol, 0n],
])
const world = new World()
fund(world, purses)
world.accept(mint(world, carol, 5n))
world.accept(rollover(world, carol))

const between = (parties: readonly [Role, Role]) => {
  const { tx, channel } = openChannel(world, { parties, deposits: [60n, 50n] })
  world.accept(tx)
  return channel
}
const [open, running, over, closed] = [
  between([alice, bob]),
  between([alice, bob]),
  between([bob, alice]),
  between([alice, bob]),
]
const standing = signState(world, over, { version: 2, balance: 10n, locks: [lock(world, 0, 5n, 5_000)] })
const plain = signState(world, running, { version: 1, balance: 10n })
world.accept(closeChannel(world, closed, [60n, 50n]))
world.accept(exit(world, over, 0, standing))
world.pass(101)
world.accept(exit(world, running, 0, plain))
const known = world.scalar()
world.accept(reveal(world, alice, [known]))

const flip = <T extends Uint8Array>(bytes: T): T => bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte)) as T
/** The other half of ECDSA's signatures: as valid as the first for a verifier that lets it pass. */
function highS(signature: Signature): Signature {
  const out = signature.slice()
  out.set(bigintToBytes(q - bytesToBigint(signature.subarray(32)), 32), 32)
  return out as Signature
}

const withSignature = <T extends { signature: Signature }>(tx: T, change: (signature: Signature) => Signature): T => ({
  ...tx,
  signature: change(tx.signature),
})
const pay = (changes: Partial<TransactionOf<'transfer'>> = {}): TransactionOf<'transfer'> =>
  signedBy(alice, { ...transfer(world, alice, bob, 7n), ...changes })
const opening = (changes: Parameters<typeof openChannel>[2] = {}, window = 100) =>
  openChannel(world, { parties: [alice, bob], deposits: [7n, 0n], window }, changes).tx
/** Both deposits commit to values whose sum is infinity. */
function cancelling(tx: TransactionOf<'openChannel'>): Transaction {
  const [half] = tx.halves
  const other = { ...half, commitment: curve.negate(half.commitment) }
  const deposits = [half.commitment, other.commitment] as const
  const channel = channelIdOf({ ...tx, ledger: world.ledger, deposits })
  return signedByBoth([alice.key, bob.key], { ...tx, channel, halves: [half, other] })
}

/** What the transaction is refused with, and how it came about. */
const table: readonly (readonly [ErrorCode, string, () => Transaction])[] = [
  ['wrong_ledger', 'made for another ledger', () => pay({ ledger: new World({ salt: Uint8Array.of(9) }).ledger })],

  ['account_exists', 'registered twice', () => register(world, alice)],
  ['bad_nonce', 'registered with another nonce', () => register(world, stranger, { nonce: 1 })],
  ['bad_key', 'a modulus too short', () => register(world, stranger, { n: stranger.n.subarray(1) })],
  [
    'not_admitted',
    "admitted by nobody's signature",
    () => register(world, stranger, { admission: register(world, alice).admission }),
  ],
  ['not_admitted', 'an admission for another modulus', () => register(world, stranger, { n: alice.n })],
  [
    'bad_signature',
    'registered by somebody else',
    () => ({ ...register(world, alice), account: stranger.account, admission: register(world, stranger).admission }),
  ],
  ['bad_proof', 'a key proof altered', () => register(world, stranger, { keyProof: flip(stranger.keyProof) })],

  [
    'not_allowed',
    'minted by somebody else',
    () => signedBy(alice, { ...mint(world, bob, 1n), account: alice.account }),
  ],
  [
    'unknown_account',
    'minted to a stranger',
    () => signedBy(issuer, { ...mint(world, bob, 1n), to: stranger.account }),
  ],
  ['bad_nonce', 'minted with a nonce to come', () => mint(world, bob, 1n, { nonce: world.account(issuer).nonce + 1 })],
  [
    'bad_proof',
    'another amount to the regulator',
    () => mint(world, bob, 1n, { ciphertextRegulator: world.encrypt(role('regulator'), 0n) }),
  ],

  [
    'unknown_account',
    'a stranger pays',
    () => signedBy(stranger, { ...transfer(world, alice, bob, 1n), account: stranger.account }),
  ],
  ['unknown_account', 'a stranger is paid', () => pay({ to: stranger.account })],
  ['same_account', 'paid to oneself', () => pay({ to: alice.account })],
  ['bad_nonce', 'a nonce to come', () => transfer(world, alice, bob, 1n, { nonce: world.account(alice).nonce + 1 })],
  ['bad_signature', 'an altered signature', () => withSignature(pay(), flip)],
  [
    'bad_signature',
    'a field altered after signing',
    () => ({ ...transfer(world, alice, bob, 1n), rest: world.commit(1n) }),
  ],
  ['bad_signature', 'a high s', () => withSignature(pay(), highS)],
  ['bad_proof', 'an altered proof', () => pay({ proof: flip(transfer(world, alice, bob, 7n).proof) })],
  ['bad_proof', 'no proof', () => pay({ proof: new Uint8Array() })],
  [
    'bad_proof',
    'another amount to the payee',
    () => transfer(world, alice, bob, 7n, { ciphertextTo: world.encrypt(bob, 8n) }),
  ],
  [
    'bad_proof',
    'zero to the regulator',
    () => transfer(world, alice, bob, 7n, { ciphertextRegulator: world.encrypt(role('regulator'), 0n) }),
  ],
  [
    'bad_proof',
    "the payee's ciphertext under another key",
    () => transfer(world, alice, bob, 7n, { ciphertextTo: world.encrypt(carol, 7n) }),
  ],
  ['bad_proof', 'the rest is not what is left', () => pay({ rest: world.commit(1n) })],

  ['bad_proof', 'a root altered', () => rollover(world, carol, { root: flip(rollover(world, carol).root) })],
  ['bad_proof', 'rolled over to more', () => rollover(world, carol, { ciphertextNew: world.encrypt(carol, 6n) })],
  [
    'bad_ciphertext',
    'a root too long',
    () => signedBy(carol, { ...rollover(world, carol), root: new Uint8Array(129) }),
  ],
  ['bad_nonce', 'rolled over with a nonce to come', () => rollover(world, carol, { nonce: 9 })],
  ['bad_signature', 'rolled over by somebody else', () => signedBy(bob, rollover(world, carol))],
  ['bad_signature', 'redeemed by somebody else', () => signedBy(bob, redeem(world, alice, 1n))],
  [
    'bad_proof',
    'another amount to the issuer',
    () => redeem(world, alice, 1n, { ciphertextIssuer: world.encrypt(issuer, 2n) }),
  ],

  ['same_account', 'a channel with oneself', () => opening({ accounts: [alice.account, alice.account] })],
  ['unknown_account', 'a channel with a stranger', () => opening({ accounts: [alice.account, stranger.account] })],
  ['unknown_account', 'a channel of a stranger', () => opening({ accounts: [stranger.account, alice.account] })],
  ['bad_window', 'a window too short', () => opening({}, 9)],
  ['bad_window', 'a window too long', () => opening({}, 1_001)],
  ['expired', 'an opening that is late', () => opening({ validUntil: world.at.time - 1 })],
  ['bad_nonce', 'an opening with a nonce to come', () => opening({ nonce: world.account(alice).nonce + 1 })],
  ['wrong_channel_id', 'an id that is not the rule’s', () => opening({ channel: open.id })],
  ['wrong_channel_id', 'another window than in the id', () => opening({ window: 101 })],
  ['bad_signature', 'an opening that the peer did not sign', () => signedByBoth([alice.key, alice.key], opening())],
  ['bad_signature', 'an opening that the opener did not sign', () => signedByBoth([bob.key, bob.key], opening())],
  [
    'bad_proof',
    'another digest of state 0',
    () => signedByBoth([alice.key, bob.key], { ...opening(), state: open.id }),
  ],
  [
    'bad_proof',
    'another channel key',
    () => signedByBoth([alice.key, bob.key], { ...opening(), channelKeys: [bob.account, bob.account] }),
  ],
  ['bad_point', 'deposits that cancel out', () => cancelling(opening())],

  [
    'unknown_channel',
    'a close of no channel',
    () =>
      signedByBoth(open.keys, {
        ...closeChannel(world, open, [60n, 50n]),
        channel: alice.account.slice(1) as Uint8Array as typeof open.id,
      }),
  ],
  ['channel_closed', 'closed twice', () => closeChannel(world, closed, [60n, 50n])],
  ['expired', 'a close that is late', () => closeChannel(world, open, [60n, 50n], { validUntil: world.at.time - 1 })],
  [
    'bad_signature',
    'a close that one side signed',
    () => signedByBoth([open.keys[0], open.keys[0]], closeChannel(world, open, [110n, 0n])),
  ],
  [
    'bad_proof',
    'ciphertexts that pay more',
    () => closeChannel(world, open, [60n, 50n], { ciphertexts: [world.encrypt(alice, 61n), world.encrypt(bob, 50n)] }),
  ],
  [
    'bad_proof',
    'balances swapped between the sides',
    () => closeChannel(world, open, [60n, 50n], { commitment: world.commit(50n) }),
  ],

  ['dispute_exists', 'an exit in a dispute', () => exit(world, running, 1, plain)],
  ['channel_closed', 'an exit from a closed channel', () => exit(world, closed, 0, closed.state0)],
  ['wrong_state', 'a state of another channel', () => exit(world, open, 0, plain)],
  ['wrong_state', 'another state 0', () => exit(world, open, 0, signState(world, open, { version: 0, balance: 60n }))],
  [
    'bad_encoding',
    'a state that cannot be read',
    () => exit(world, open, 0, { ...open.state0, encoded: new Uint8Array(9) }),
  ],
  [
    'bad_encoding',
    'locks that cannot be read',
    () => exit(world, open, 0, signState(world, open, { version: 1, balance: 1n }, { locks: new Uint8Array(1) })),
  ],
  ['no_dispute', 'superseding nothing', () => supersede(world, open, open.state0)],
  ['not_newer', 'superseding with the same', () => supersede(world, running, plain)],
  [
    'dispute_over',
    'superseding too late',
    () => supersede(world, over, signState(world, over, { version: 3, balance: 1n })),
  ],
  ['no_dispute', 'punishing nobody', () => punish(world, open, 0, 0)],
  ['wrong_secret', 'the secret of another version', () => punish(world, running, 0, 2)],
  ['no_dispute', 'settling an open channel', () => ({ ...settle(world, over, standing, []), channel: open.id })],
  ['dispute_running', 'settling too early', () => settle(world, running, plain, [])],
  ['locks_undecided', 'settling while a lock is open', () => settle(world, over, standing, [])],

  ['unknown_account', 'a stranger reveals', () => reveal(world, stranger, [world.scalar()])],
  ['known_point', 'revealed already', () => reveal(world, bob, [known])],
  [
    'bad_signature',
    'revealed in the name of another',
    () => ({ ...reveal(world, bob, [world.scalar()]), account: alice.account }),
  ],
  [
    'not_allowed',
    'a tick where the ledger has its own time',
    () => signedBy(alice, { kind: 'tick', ledger: world.ledger, account: alice.account, nonce: 1, time: 9_999 }),
  ],
]

const reached = new Set<ErrorCode>()
const never = (): boolean => {
  throw new Error('a proof was checked')
}

t.test('each defect has its code, and no proof is checked before it is found (L3)', (t) => {
  for (const [code, how, make] of table) {
    t.equal(world.verdict(make(), code === 'bad_proof' ? runCheck : never), code, how)
    reached.add(code)
  }
  t.end()
})

t.test('comparisons come before signatures (L3)', (t) => {
  const later: ReadonlySet<ErrorCode> = new Set([
    'bad_signature',
    'not_admitted',
    'bad_proof',
    'bad_point',
    'known_point',
  ])
  const nobody = new Uint8Array(64) as Signature
  for (const [code, how, make] of table) {
    if (later.has(code)) continue
    const tx = make()
    const unsigned = {
      ...tx,
      ...('signature' in tx && { signature: nobody }),
      ...('signatures' in tx && { signatures: [nobody, nobody] }),
      ...('stateSignatures' in tx && { stateSignatures: [nobody, nobody] }),
    } as Transaction
    t.equal(world.verdict(unsigned, never), code, how)
  }
  t.end()
})

t.test('a tick too far, and one point too many in a block', (t) => {
  const clock = { accounts: [alice.account], quorum: 1, stepMax: 10, blocksMin: 0 }
  const ticking = new World({ clock })
  ticking.accept(register(ticking, alice))
  const time = ticking.at.time + 11
  const tick = { kind: 'tick' as const, ledger: ticking.ledger, account: alice.account, nonce: 1, time }
  t.equal(ticking.verdict(signedBy(alice, tick), never), 'bad_tick')
  reached.add('bad_tick')

  world.accept(
    reveal(
      world,
      bob,
      Array.from({ length: LIMITS.reveal_quota_per_block }, () => world.scalar()),
    ),
    never,
  )
  t.equal(world.verdict(reveal(world, bob, [world.scalar()]), never), 'quota_exceeded')
  reached.add('quota_exceeded')
  t.end()
})

t.test('what cannot be read is refused before any arithmetic (L10)', (t) => {
  const code = (fields: Record<string, unknown>): string => {
    const decoded = decodeTransaction(cbor(fields))
    return decoded.ok ? 'accepted' : decoded.error.code
  }
  const samples = [pay(), opening(), closeChannel(world, open, [60n, 50n]), reveal(world, alice, [known])]
  for (const tx of samples) {
    t.equal(code(tx), 'accepted')
    for (const field of Object.keys(tx)) {
      const { [field]: _, ...rest } = tx as Record<string, unknown>
      t.equal(code(rest), 'bad_encoding', `${tx.kind} without ${field}`)
    }
    t.equal(code({ ...tx, more: 1 }), 'bad_encoding', `${tx.kind} with an unknown field`)
    t.equal(decodeTransaction(Uint8Array.of(...encodeTransaction(tx), 0)).ok, false, 'bytes after the end')
  }
  const infinity = new Uint8Array(33)
  const offCurve = alice.account.map((byte, i) => (i === 0 ? 4 : byte))
  for (const point of [infinity, offCurve, alice.account.slice(1)]) {
    t.equal(code({ ...pay(), commitment: point }), 'bad_encoding')
    t.equal(code({ ...pay(), to: point }), 'bad_encoding')
  }
  for (const scalar of [new Uint8Array(32), bigintToBytes(q, 32), known.slice(1)]) {
    t.equal(code({ ...reveal(world, alice, [known]), scalars: [scalar] }), 'bad_encoding')
  }
  t.equal(code({ ...reveal(world, alice, [known]), scalars: [] }), 'bad_encoding')
  t.equal(code({ ...pay(), signature: new Uint8Array(63) }), 'bad_encoding')
  t.end()
})

t.test('a genesis that contradicts itself', (t) => {
  const clock = { accounts: [alice.account], quorum: 2, stepMax: 1, blocksMin: 1 }
  const { genesis } = world
  const wrong: readonly Partial<Genesis>[] = [
    { amountBits: 47 },
    { test: false },
    { windowMin: 1_001 },
    { regulator: genesis.issuer },
    { clock },
    { keyBits: 2048 },
    { issuer: { ...genesis.issuer, keyProof: genesis.regulator.keyProof } },
    { regulator: { ...genesis.regulator, account: alice.account } },
  ]
  t.ok(checkGenesis(genesis, runCheck).ok)
  for (const changes of wrong) {
    const result = checkGenesis({ ...genesis, ...changes }, runCheck)
    t.equal(result.ok ? 'accepted' : result.error.code, 'bad_genesis', Object.keys(changes).join())
  }
  reached.add('bad_genesis')
  t.end()
})

t.test('the ledger group of the error table is reached, all of it', (t) => {
  const source = readFileSync(new URL('src/base/errors.ts', ROOT), 'utf8')
  const [, group] = /^ {2}\/\/ ledger:.*\n((?: {2}(?!\/\/).*\n)+)/m.exec(source) ?? []
  const codes = [...(group ?? '').matchAll(/^ {2}(\w+): entry/gm)].map(([, code]) => code as ErrorCode)
  t.ok(codes.length > 25 && codes.every((code) => code in ERRORS))
  t.same(
    codes.filter((code) => !reached.has(code)),
    [],
  )
  t.end()
})
