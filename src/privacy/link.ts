/**
 * Link (P4): for one key, m ciphertexts and m commitments hide the same values. It is sound only together with a range
 * proof on every commitment that it names (P5), so only `proof.ts` may import this file.
 */
import { bytesToBigint } from '../base/bytes.js'
import { type Element, modQ, type Point, sumElements } from '../base/curve/index.js'
import { commit, H, multiple, multipleOfBase } from './commitment.js'
import { modPow } from './modexp.js'
import { encrypt, encryptOwn, maskBits, type PrivateKey, type PublicKey, randomnessBits } from './paillier.js'
import type { Nonces } from './transcript.js'

/** All links of one key of a statement. */
export interface LinkGroup {
  /** Index of the key in the statement. */
  readonly key: number
  readonly publicKey: PublicKey
  readonly pairs: readonly Pair[]
}

export interface Pair {
  /** Index of the link in the statement. */
  readonly link: number
  /** c_i, a unit below n² (parseCiphertext). */
  readonly ciphertext: bigint
  /** C_i: its index in the statement and itself. */
  readonly commitment: number
  readonly element: Element
}

/** What a ciphertext and its commitment share, and the randomness of each. */
export interface PairSecret {
  readonly value: bigint
  readonly s: bigint
  readonly blinding: bigint
}

export interface Response {
  readonly z: bigint
  readonly w: bigint
  readonly v: bigint
}

export interface Mask {
  readonly a: bigint
  readonly rho: bigint
  readonly b: bigint
}

/** P4's A and T; T is undefined where it would be infinite, which nobody accepts. */
export interface Announcement {
  readonly A: bigint
  readonly T: Point | undefined
}

export const Z_BITS = 248
/** Lw: bits of w and of its mask. */
export const wBits = (publicKey: PublicKey): number => maskBits(publicKey.bits)

/**
 * P4's bounds for a group of m: `0 <= z < 2^248 - m*2^200` and `m*2^(S+129) <= w < 2^Lw - m*2^(S+129)`.
 *
 * Inside them z and w are uniform whatever the secrets are. z: 0 <= sum(e_i*x_i) < m*2^128*2^64 = m*2^192, so every z of
 * the window has its mask a = z + sum in [0, 2^248). w: s_i may be a difference of two (P7), so |s_i| < 2^S and
 * |sum(e_i*s_i)| < m*2^(S+128), on either side of zero; the window keeps twice that from both ends of [0, 2^Lw), so
 * rho = w + sum is in there too. For soundness the sign of s is of no matter: the verifier's w stays positive and short,
 * and no bound on s follows from it but |s| < 2^Lw.
 */
export function windowsOf(group: LinkGroup): { readonly zEnd: bigint; readonly wStart: bigint; readonly wEnd: bigint } {
  const m = BigInt(group.pairs.length)
  const margin = m << BigInt(randomnessBits(group.publicKey.bits) + 129)
  return {
    zEnd: (1n << BigInt(Z_BITS)) - (m << 200n),
    wStart: margin,
    wEnd: (1n << BigInt(wBits(group.publicKey))) - margin,
  }
}

/** Masks of this key alone: shared with another key, they would hand its owner this key's values (P4). */
export function drawMask(group: LinkGroup, nonces: Nonces): Mask {
  return {
    a: bytesToBigint(nonces.bytes(Z_BITS / 8)),
    rho: bytesToBigint(nonces.bytes(wBits(group.publicKey) / 8)),
    b: modQ(bytesToBigint(nonces.bytes(48))),
  }
}

const isOwn = ({ publicKey }: LinkGroup, own: PrivateKey | undefined): own is PrivateKey =>
  own?.publicKey.n === publicKey.n

/** `own`: the prover's key, whose announcement its factors make cheaper. */
export const announce = (group: LinkGroup, mask: Mask, own?: PrivateKey): Announcement => ({
  A: isOwn(group, own) ? encryptOwn(own, mask.a, mask.rho) : encrypt(group.publicKey, mask.a, mask.rho),
  T: commit(mask.a, mask.b) ?? undefined,
})

/** z, w and v; undefined where z or w leaves its window and the prover has to start again (about 1 in 2^44). */
export function respond(
  group: LinkGroup,
  mask: Mask,
  challenges: readonly bigint[],
  secrets: readonly PairSecret[],
): Response | undefined {
  let { a: z, rho: w, b: v } = mask
  for (const [i, secret] of secrets.entries()) {
    z -= challenges[i]! * secret.value
    w -= challenges[i]! * secret.s
    v -= challenges[i]! * secret.blinding
  }
  const response = { z, w, v: modQ(v) }
  return withinWindows(group, response) ? response : undefined
}

export function withinWindows(group: LinkGroup, { z, w }: Response): boolean {
  const { zEnd, wStart, wEnd } = windowsOf(group)
  return z >= 0n && z < zEnd && w >= wStart && w < wEnd
}

/**
 * What it costs in steps of a ring (P5): bits that OpenSSL would raise to, at the price of the modulus, and the curve's part. A power
 * of h costs half of its bits, by the owner's factors and by a table (record 29) alike.
 */
const cost = ({ publicKey }: LinkGroup, bits: number): number => 3 + (bits * (publicKey.bits / 2048) ** 2) / 32
export const announceCost = (group: LinkGroup): number => cost(group, wBits(group.publicKey) / 2)
export const recomputeCost = (group: LinkGroup): number =>
  cost(group, wBits(group.publicKey) / 2 + 128 * group.pairs.length)

/** The verifier's A and T: `(1+z*n) * h^w * prod c_i^(e_i)` and `z*H + v*G + sum e_i*C_i`. */
export function recompute(group: LinkGroup, { z, w, v }: Response, challenges: readonly bigint[]): Announcement {
  const { publicKey, pairs } = group
  const A = pairs.reduce(
    (product, pair, i) => (product * modPow(pair.ciphertext, challenges[i]!, publicKey.nn)) % publicKey.nn,
    encrypt(publicKey, z, w),
  )
  const terms = pairs.map((pair, i) => multiple(pair.element, challenges[i]!))
  return { A, T: sumElements([multiple(H, z), multipleOfBase(v), ...terms]) ?? undefined }
}
