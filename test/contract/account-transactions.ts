/** Valid, proved and signed account transactions on a World. `changes` are made before proving and signing. */
import { bigintToBytes, bytesToBigint } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import type { Result } from '../../src/base/result.js'
import { admissionDigest, type TransactionOf } from '../../src/base/transaction.js'
import { divide, multiply } from '../../src/chain-adapter/contract/ciphertext.js'
import { readMinted } from '../../src/chain-adapter/contract/state.js'
import {
  mintStatement,
  redeemStatement,
  transferStatement,
  type Unproven,
} from '../../src/chain-adapter/contract/statements.js'
import { decrypt, rootOfRollover } from '../../src/privacy/paillier.js'
import { type Role, role, signedBy, type World } from './world.js'

export function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`unexpected refusal ${result.error.code}`)
  return result.value
}

export function register(world: World, who: Role, changes: Partial<TransactionOf<'register'>> = {}) {
  const { account, n, keyProof } = who
  const admission = curve.sign(admissionDigest(world.ledger, account, n), role('issuer').key)
  const fields = { kind: 'register', ledger: world.ledger, account, nonce: 0, n, keyProof, admission } as const
  return signedBy(who, { ...fields, ...changes })
}

export function mint(world: World, to: Role, value: bigint, changes: Partial<Unproven<'mint'>> = {}) {
  const issuer = role('issuer')
  const fields: Unproven<'mint'> = {
    kind: 'mint',
    ledger: world.ledger,
    account: issuer.account,
    nonce: world.account(issuer).nonce,
    to: to.account,
    commitment: world.commit(value),
    ciphertextTo: world.encrypt(to, value),
    ciphertextRegulator: world.encrypt(role('regulator'), value),
    ...changes,
  }
  const minted = readMinted(world.view)
  world.combine([minted, fields.commitment])
  const proof = world.prove(mintStatement(world.genesis, world.account(to), minted, fields))
  return signedBy(issuer, { ...fields, proof })
}

/** P7: fresh ciphertext and commitment of what is left, the withdrawn ciphertext derived. */
export function withdrawal(world: World, who: Role, value: bigint) {
  const { n, available } = world.account(who)
  const before = world.secret(available)
  const ciphertextRest = world.encrypt(who, before.value - value)
  world.remember(divide(n, available, ciphertextRest)!, value, before.s - world.secret(ciphertextRest).s)
  return {
    commitment: world.commit(value),
    rest: world.commit(before.value - value),
    ciphertextRest,
    ciphertextRegulator: world.encrypt(role('regulator'), value),
  }
}

export function transfer(
  world: World,
  who: Role,
  to: Role,
  value: bigint,
  changes: Partial<Unproven<'transfer'>> = {},
): TransactionOf<'transfer'> {
  const fields: Unproven<'transfer'> = {
    kind: 'transfer',
    ledger: world.ledger,
    account: who.account,
    nonce: world.account(who).nonce,
    to: to.account,
    ciphertextTo: world.encrypt(to, value),
    ...withdrawal(world, who, value),
    ...changes,
  }
  const statement = transferStatement(world.genesis, world.account(who), world.account(to), fields)
  return signedBy(who, { ...fields, proof: world.prove(unwrap(statement)) })
}

export function redeem(
  world: World,
  who: Role,
  value: bigint,
  changes: Partial<Unproven<'redeem'>> = {},
): TransactionOf<'redeem'> {
  const fields: Unproven<'redeem'> = {
    kind: 'redeem',
    ledger: world.ledger,
    account: who.account,
    nonce: world.account(who).nonce,
    ciphertextIssuer: world.encrypt(role('issuer'), value),
    ...withdrawal(world, who, value),
    ...changes,
  }
  const statement = redeemStatement(world.genesis, world.account(who), fields)
  return signedBy(who, { ...fields, proof: world.prove(unwrap(statement)) })
}

export function rollover(
  world: World,
  who: Role,
  changes: Partial<Unproven<'rollover'>> = {},
): TransactionOf<'rollover'> {
  const { n, nonce, available, pendingFrozen } = world.account(who)
  const product = bytesToBigint(multiply(n, available, pendingFrozen))
  const ciphertextNew = world.encrypt(
    who,
    world.balance(who).available + decrypt(who.paillier, bytesToBigint(pendingFrozen)),
  )
  const root = rootOfRollover(who.paillier, product, bytesToBigint(ciphertextNew))
  return signedBy(who, {
    kind: 'rollover',
    ledger: world.ledger,
    account: who.account,
    nonce,
    ciphertextNew,
    root: bigintToBytes(root, n.length),
    ...changes,
  })
}

/** Accounts for everybody, and money that has been rolled over. */
export function fund(world: World, balances: ReadonlyMap<Role, bigint>): void {
  for (const [who, value] of balances) {
    world.accept(register(world, who))
    if (value === 0n) continue
    world.accept(mint(world, who, value))
    world.accept(rollover(world, who))
    world.accept(rollover(world, who))
  }
}
