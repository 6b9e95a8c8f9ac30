/** P6: a proof holds for one ledger, account, nonce, channel, version and role; every item that it is bound to counts. */
import t from 'tap'
import { curve } from '../../src/base/curve/index.js'
import { admissionDigest, type Transaction } from '../../src/base/transaction.js'
import { proveKey } from '../../src/privacy/key-proof.js'
import type { Statement } from '../../src/privacy/statement.js'
import { fund, mint, redeem, register, rollover, transfer } from './account-transactions.js'
import { closeChannel, exit, openChannel, settle, signState } from './channel-transactions.js'
import { type Role, role, signedBy, signedByBoth, World } from './world.js'

const [alice, bob, carol, mallory] = [role('alice'), role('bob'), role('carol'), role('mallory')]
const purses = new Map([
  [alice, 100n],
  [bob, 50n],
  [carol, 0n],
])
const world = new World()
fund(world, purses)

const opened = openChannel(world, { parties: [alice, bob], deposits: [30n, 20n] })
world.accept(opened.tx)
const disputed = openChannel(world, { parties: [alice, bob], deposits: [10n, 0n] })
world.accept(disputed.tx)
const standing = signState(world, disputed.channel, { version: 4, balance: 3n })
world.accept(exit(world, disputed.channel, 0, standing))
world.pass(101)

/** Every way to change one item of a statement that a proof must not survive. */
function alterations(honest: Statement): ReadonlyMap<string, Statement> {
  const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte))
  const swapped = honest.keys.map((key, i) => ({ ...key, role: honest.keys[(i + 1) % honest.keys.length]!.role }))
  const altered = new Map<string, Statement>([
    ['kind', { ...honest, kind: 'other' }],
    ['role', { ...honest, role: 'other' }],
    ['L', { ...honest, bits: honest.bits + 2 }],
    ['roles of the keys', { ...honest, keys: swapped }],
    ['a context item more', { ...honest, context: [...honest.context, new Uint8Array()] }],
  ])
  honest.context.forEach((item, i) => {
    const context = honest.context.with(i, item.length === 0 ? Uint8Array.of(1) : flip(item))
    altered.set(`context item ${i}`, { ...honest, context })
  })
  return altered
}

const made: readonly (readonly [string, number, () => Transaction])[] = [
  ['mint', 8, () => mint(world, alice, 7n)],
  ['transfer', 8, () => transfer(world, alice, bob, 7n)],
  ['redeem', 7, () => redeem(world, alice, 7n)],
  ['openChannel', 14, () => openChannel(world, { parties: [alice, bob], deposits: [7n, 0n] }).tx],
  ['closeChannel', 11, () => closeChannel(world, opened.channel, [50n, 0n])],
  ['settle', 12, () => settle(world, disputed.channel, standing, [])],
]

for (const [kind, contextItems, make] of made) {
  t.test(`${kind}: every item of the transcript counts`, (t) => {
    let names: string[] = []
    world.tamper = (honest) => {
      names = [...alterations(honest).keys()]
      t.equal(honest.context.length, contextItems, 'all of P6 is there')
      return honest
    }
    t.equal(world.verdict(make()), 'accepted')
    for (const name of names) {
      world.tamper = (honest) => alterations(honest).get(name)!
      t.equal(world.verdict(make()), 'bad_proof', name)
    }
    world.tamper = (honest) => honest
    t.end()
  })
}

t.test('P7: nothing at all is no amount, whatever was proved about it', (t) => {
  for (const withdraw of [
    () => transfer(world, alice, bob, 0n),
    () => redeem(world, alice, 0n),
    () => mint(world, alice, 0n),
  ]) {
    world.tamper = (honest) => ({ ...honest, ranges: honest.ranges.map((range) => ({ ...range, minimum: 0n })) })
    const made = withdraw()
    world.tamper = (honest) => honest
    t.equal(world.verdict(made), 'bad_proof', made.kind)
  }
  t.end()
})

t.test('replayed elsewhere, signed anew', (t) => {
  const paid = transfer(world, alice, bob, 7n)
  t.equal(world.verdict(signedBy(carol, { ...paid, account: carol.account, nonce: 1 })), 'bad_proof', 'account')
  t.equal(world.verdict(signedBy(alice, { ...paid, to: carol.account })), 'bad_proof', 'payee')

  const other = new World({ salt: Uint8Array.of(7) })
  other.accept(register(other, alice))
  for (const [key, bytes] of world.records) other.records.set(key, bytes)
  t.equal(other.verdict(paid), 'wrong_ledger')
  t.equal(other.verdict(signedBy(alice, { ...paid, ledger: other.ledger })), 'bad_proof', 'ledger')

  const later = transfer(world, alice, bob, 7n, { nonce: world.account(alice).nonce + 1 })
  t.equal(world.verdict(signedBy(alice, { ...later, nonce: later.nonce - 1 })), 'bad_proof', 'nonce')

  const closing = closeChannel(world, opened.channel, [25n, 25n])
  const elsewhere = { ...closing, channel: disputed.channel.id }
  t.equal(world.verdict(signedByBoth(disputed.channel.keys, elsewhere)), 'bad_proof', 'channel')
  const longer = signedByBoth(opened.channel.keys, { ...closing, validUntil: closing.validUntil + 1 })
  t.equal(world.verdict(longer), 'bad_proof', 'validUntil')
  t.end()
})

t.test('an account with the same modulus is another account', (t) => {
  const key = mallory.key
  const twin: Role = { ...bob, name: 'twin', key, account: mallory.account }
  const admission = curve.sign(admissionDigest(world.ledger, twin.account, bob.n), role('issuer').key)
  t.equal(world.verdict(register(world, twin, { admission })), 'bad_proof', "bob's key proof is for bob")
  world.accept(register(world, twin, { admission, keyProof: proveKey(bob.paillier, twin.account) }))
  const paid = transfer(world, alice, bob, 7n)
  t.equal(world.verdict(signedBy(alice, { ...paid, to: twin.account })), 'bad_proof')
  t.end()
})

t.test('a proof does not outlive the ciphertext it started from', (t) => {
  const paid = transfer(world, alice, bob, 7n)
  const deposit = openChannel(world, { parties: [bob, alice], deposits: [1n, 1n] }).tx
  const rolled = rollover(world, alice)
  world.accept(openChannel(world, { parties: [bob, alice], deposits: [1n, 1n] }).tx)
  t.equal(world.verdict(paid), 'bad_proof', 'a deposit moved available, and no nonce of this side')
  t.equal(world.verdict(rolled), 'bad_proof')
  const { nonce } = world.account(bob)
  t.equal(world.verdict(signedByBoth([bob.key, alice.key], { ...deposit, nonce })), 'wrong_channel_id')
  t.end()
})

t.test('two contents for one place: the second is refused', (t) => {
  const [one, two] = [transfer(world, alice, bob, 1n), transfer(world, alice, carol, 2n)]
  world.accept(one)
  t.equal(world.verdict(two), 'bad_nonce')
  t.end()
})
