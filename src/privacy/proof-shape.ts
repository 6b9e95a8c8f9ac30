/** What a statement demands of its proof: parsed keys and ciphertexts, Links grouped by key, lengths. */
import { AMOUNT_BITS_MAX } from '../base/amount.js'
import { type Element, parsePoint } from '../base/curve/index.js'
import { LIMITS } from '../base/limits.js'
import type { LinkGroup, Pair } from './link.js'
import { type PublicKey, parseCiphertext, publicKey } from './paillier.js'
import { digitsOf, shifted } from './range.js'
import type { Statement } from './statement.js'

export interface Shape {
  /** L, and how many base-4 digits it has. */
  readonly bits: number
  readonly digits: number
  readonly keys: readonly PublicKey[]
  /** One Link per key that a link names, in the order of the keys. */
  readonly groups: readonly LinkGroup[]
  /** One range per entry of the statement: the commitment whose value is below 2^bits, minimum taken off. */
  readonly targets: readonly Element[]
}

/** @returns undefined for a statement that nothing can prove: the ranges of P5, the units of P2, m of P4. */
export function shapeOf(statement: Statement): Shape | undefined {
  const { bits } = statement
  if (!Number.isInteger(bits) || bits % 2 !== 0 || bits < 16 || bits > AMOUNT_BITS_MAX) return undefined
  if (!statement.commitments.every((element) => element === null || parsePoint(element).ok)) return undefined
  if (!everyLinkHasRange(statement)) return undefined
  const keys: PublicKey[] = []
  for (const { n } of statement.keys) {
    const key = publicKey(n)
    if (!key.ok) return undefined
    keys.push(key.value)
  }
  const groups = groupLinks(statement, keys)
  if (groups === undefined) return undefined
  const targets = statement.ranges.map((range) => shifted(statement.commitments[range.commitment]!, range.minimum))
  return { bits, digits: digitsOf(bits), keys, groups, targets }
}

/** P5: fractions pass a Link alone. Also refuses a statement without any range: it would state nothing. */
function everyLinkHasRange({ commitments, ranges, links }: Statement): boolean {
  const ranged = new Set(ranges.map((range) => range.commitment))
  return (
    ranges.length > 0 &&
    ranges.every(({ commitment, minimum }) => commitment in commitments && (minimum === 0n || minimum === 1n)) &&
    links.every(({ commitment }) => ranged.has(commitment))
  )
}

function groupLinks(statement: Statement, keys: readonly PublicKey[]): readonly LinkGroup[] | undefined {
  const pairs: Pair[][] = keys.map(() => [])
  for (const [link, { key, commitment, value }] of statement.links.entries()) {
    const publicKey = keys[key]
    if (publicKey === undefined) return undefined
    const ciphertext = parseCiphertext(publicKey, value)
    if (!ciphertext.ok) return undefined
    const element = statement.commitments[commitment]!
    pairs[key]!.push({ link, ciphertext: ciphertext.value, commitment, element })
  }
  if (pairs.some((group) => group.length > LIMITS.link_pairs)) return undefined
  return keys
    .map((publicKey, key) => ({ key, publicKey, pairs: pairs[key]! }))
    .filter((group) => group.pairs.length > 0)
}
