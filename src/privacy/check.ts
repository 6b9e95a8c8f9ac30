/** Everything costly that the contract asks (section 3): a pure yes or no per check, and the digest that names it. */
import { bytesToBigint, type Digest } from '../base/bytes.js'
import { taggedHash } from '../base/digest.js'
import { unreachable } from '../base/errors.js'
import { verifyKey } from './key-proof.js'
import { parseCiphertext, publicKey, verifyRollover } from './paillier.js'
import { verify } from './proof.js'
import { countProofWork } from './proof-work.js'
import type { ProofCheck } from './statement.js'
import { statementParts } from './transcript.js'

type Rollover = Extract<ProofCheck, { type: 'rollover' }>

/** Never throws, whatever the bytes are. Costs milliseconds to tens of them. */
export function runCheck(check: ProofCheck): boolean {
  switch (check.type) {
    case 'statement':
      return verify(check.statement, check.proof)
    case 'key':
      countProofWork('verified')
      return verifyKey(check.n, check.account, check.proof, check.n.length * 8)
    case 'rollover':
      countProofWork('verified')
      return rolloverHolds(check)
    default:
      return unreachable(check)
  }
}

/** L2, with every length and unit checked first (L10). */
function rolloverHolds({ n, product, fresh, root }: Rollover): boolean {
  const key = publicKey(n)
  if (!key.ok || root.length !== key.value.bytes) return false
  const before = parseCiphertext(key.value, product)
  const after = parseCiphertext(key.value, fresh)
  return before.ok && after.ok && verifyRollover(key.value, before.value, after.value, bytesToBigint(root))
}

/** The key under which a pool keeps a verdict: equal only for the same check, statement and proof to the byte. */
export function checkDigest(check: ProofCheck): Digest {
  switch (check.type) {
    case 'statement':
      return taggedHash('check/statement', ...statementParts(check.statement), check.proof)
    case 'key':
      return taggedHash('check/key', check.n, check.account, check.proof)
    case 'rollover':
      return taggedHash('check/rollover', check.n, check.product, check.fresh, check.root)
    default:
      return unreachable(check)
  }
}
