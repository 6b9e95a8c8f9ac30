/** P2, L10: 0, multiples of n and values from n^2 on pass a Link for any amount, so no place takes them. */
import t from 'tap'
import { bytesToBigint } from '../../src/base/bytes.js'
import type { Transaction } from '../../src/base/transaction.js'
import { areUnits, divide, multiply } from '../../src/chain-adapter/contract/ciphertext.js'
import { addCiphertexts, subtractCiphertexts } from '../../src/privacy/paillier.js'
import { fund, mint, redeem, rollover, transfer, unwrap } from './account-transactions.js'
import { closeChannel, openChannel } from './channel-transactions.js'
import { ciphertextOf, type Role, role, signedBy, signedByBoth, World } from './world.js'

const [alice, bob, issuer, regulator] = [role('alice'), role('bob'), role('issuer'), role('regulator')]
const purses = new Map([
  [alice, 100n],
  [bob, 50n],
])
const world = new World()
fund(world, purses)
const { tx, channel } = openChannel(world, { parties: [alice, bob], deposits: [10n, 10n] })
world.accept(tx)

const minted = mint(world, alice, 1n)
const paid = transfer(world, alice, bob, 1n)
const redeemed = redeem(world, alice, 1n)
const opening = openChannel(world, { parties: [alice, bob], deposits: [7n, 3n] }).tx
const closing = closeChannel(world, channel, [20n, 0n])

function deposit(side: 0 | 1, field: 'ciphertextRest' | 'ciphertextPeer' | 'ciphertextRegulator') {
  return (c: Uint8Array): Transaction => {
    const [own, other] = opening.halves
    const halves: typeof opening.halves =
      side === 0 ? [{ ...own, [field]: c }, other] : [own, { ...other!, [field]: c }]
    return signedByBoth([alice.key, bob.key], { ...opening, halves })
  }
}

function balance(side: 0 | 1, field: 'ciphertexts' | 'ciphertextsRegulator') {
  return (c: Uint8Array): Transaction => {
    const [first, second] = closing[field]
    const changed: [Uint8Array, Uint8Array] = side === 0 ? [c, second] : [first, c]
    return signedByBoth(channel.keys, { ...closing, [field]: changed })
  }
}

/** Every ciphertext of every transaction, with the owner of its key. Settle's are close's. */
const places: readonly (readonly [string, Role, (ciphertext: Uint8Array) => Transaction])[] = [
  ['mint, to', alice, (c) => signedBy(issuer, { ...minted, ciphertextTo: c })],
  ['mint, regulator', regulator, (c) => signedBy(issuer, { ...minted, ciphertextRegulator: c })],
  ['transfer, rest', alice, (c) => signedBy(alice, { ...paid, ciphertextRest: c })],
  ['transfer, to', bob, (c) => signedBy(alice, { ...paid, ciphertextTo: c })],
  ['transfer, regulator', regulator, (c) => signedBy(alice, { ...paid, ciphertextRegulator: c })],
  ['redeem, rest', alice, (c) => signedBy(alice, { ...redeemed, ciphertextRest: c })],
  ['redeem, issuer', issuer, (c) => signedBy(alice, { ...redeemed, ciphertextIssuer: c })],
  ['redeem, regulator', regulator, (c) => signedBy(alice, { ...redeemed, ciphertextRegulator: c })],
  ['rollover', bob, (c) => rollover(world, bob, { ciphertextNew: c })],
  ['opener, rest', alice, deposit(0, 'ciphertextRest')],
  ['opener, peer', bob, deposit(0, 'ciphertextPeer')],
  ['opener, regulator', regulator, deposit(0, 'ciphertextRegulator')],
  ['peer, rest', bob, deposit(1, 'ciphertextRest')],
  ['peer, peer', alice, deposit(1, 'ciphertextPeer')],
  ['peer, regulator', regulator, deposit(1, 'ciphertextRegulator')],
  ['close, opener', alice, balance(0, 'ciphertexts')],
  ['close, peer', bob, balance(1, 'ciphertexts')],
  ['close, regulator of opener', regulator, balance(0, 'ciphertextsRegulator')],
  ['close, regulator of peer', regulator, balance(1, 'ciphertextsRegulator')],
]

t.test('only a unit below n^2, of the exact length, in every place; no proof is even looked at', (t) => {
  const never = (): boolean => {
    throw new Error('a proof was checked')
  }
  for (const [place, owner, make] of places) {
    const { n, nn } = owner.paillier.publicKey
    const bad = [0n, n, 5n * n, nn - n, nn, nn + 1n].map(ciphertextOf)
    for (const c of [...bad, new Uint8Array(), ciphertextOf(1n).slice(1)]) {
      t.equal(world.verdict(make(c), never), 'bad_ciphertext', place)
    }
  }
  t.end()
})

t.test("the contract's arithmetic is the owner's", (t) => {
  const { n, paillier } = alice
  const key = paillier.publicKey
  const [a, b] = [world.encrypt(alice, 5n), world.encrypt(alice, 3n)]
  t.equal(bytesToBigint(multiply(n, a, b)), addCiphertexts(key, bytesToBigint(a), bytesToBigint(b)))
  t.equal(bytesToBigint(divide(n, a, b)!), unwrap(subtractCiphertexts(key, bytesToBigint(a), bytesToBigint(b))))
  t.equal(divide(n, a, ciphertextOf(key.n)), undefined)
  t.equal(divide(n, a, ciphertextOf(key.nn + 1n)), undefined)
  t.ok(areUnits(n, a, b))
  t.notOk(areUnits(n, a, ciphertextOf(key.n * 2n)))
  t.end()
})
