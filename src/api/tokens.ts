/**
 * Who may call: the token of this start, which is admin and good on this machine alone, and tokens made for a scope, kept
 * as hashes. A token is 32 random bytes: its hash needs no salt and no stretching.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { hexToBytes, utf8 } from '../base/bytes.js'
import { encodeAs, zCount, zDigest, zText } from '../base/codec.js'
import { MeridianError } from '../base/errors.js'
import { idText } from '../base/ids.js'
import { LIMITS } from '../base/limits.js'
import type { Engine } from '../node/engine.js'
import { parseRow } from '../store/rows.js'
import { tableKey } from '../store/tables.js'
import { type BodyOf, SCOPES, type Scope } from './bodies.js'

const zToken = z.strictObject({
  name: zText(64),
  scopes: z.array(z.enum(SCOPES)).max(SCOPES.length),
  hash: zDigest,
  /** Ledger time. */
  created: zCount,
})
const zRow = z.array(zToken).max(LIMITS.api_tokens)
type Token = z.output<typeof zToken>

const ROW = tableKey('node', utf8('api-tokens'))
const SCHEME = /^Bearer ([\x21-\x7e]{1,256})$/i

/** SHA-256, as tokens are kept. */
export const tokenHash = (token: string): Uint8Array => createHash('sha256').update(utf8(token)).digest()

export interface Caller {
  /** The token's. */
  readonly id: string
  readonly scopes: readonly Scope[]
}

const idOf = (hash: Uint8Array): string => idText(hash as Token['hash']).slice(0, 16)
const viewOf = ({ name, scopes, hash, created }: Token) => ({ id: idOf(hash), name, scopes, created })

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/

export class Tokens {
  #known: readonly Token[]
  readonly #start: Uint8Array

  /** @param startToken of api.json */
  constructor(
    private readonly engine: Pick<Engine, 'get' | 'run'>,
    startToken: string,
    private readonly now: () => number,
  ) {
    const row = engine.get(ROW)
    this.#known = row === undefined ? [] : parseRow(row, zRow)
    this.#start = tokenHash(startToken)
  }

  /** Who calls and what it may do; undefined for a stranger. */
  callerOf(authorization: string | undefined, remote: string | undefined): Caller | undefined {
    const token = SCHEME.exec(authorization ?? '')?.[1]
    if (token === undefined) return undefined
    const hash = tokenHash(token)
    if (timingSafeEqual(hash, this.#start)) {
      return LOOPBACK.test(remote ?? '') ? { id: idOf(hash), scopes: ['admin'] } : undefined
    }
    const known = this.#known.find((one) => timingSafeEqual(one.hash, hash))
    return known === undefined ? undefined : { id: idOf(hash), scopes: known.scopes }
  }

  list() {
    return this.#known.map(viewOf).sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** The same token again changes nothing. @throws MeridianError `bad_request`, `busy` */
  async add({ name, scopes, hash }: BodyOf<'token'>) {
    const token: Token = {
      name,
      scopes: [...new Set(scopes)],
      hash: hexToBytes(hash) as Token['hash'],
      created: this.now(),
    }
    const known = this.#known.find((other) => idOf(other.hash) === idOf(token.hash))
    if (known !== undefined) {
      if (`${known.scopes}` !== `${token.scopes}`) throw new MeridianError('bad_request', 'this token has other scopes')
      return viewOf(known)
    }
    if (this.#known.length >= LIMITS.api_tokens)
      throw new MeridianError('busy', `${LIMITS.api_tokens} tokens: revoke one`)
    await this.#keep([...this.#known, token])
    return viewOf(token)
  }

  /** From its answer on the token opens nothing. @throws MeridianError `not_found` */
  async revoke(id: string): Promise<void> {
    const left = this.#known.filter(({ hash }) => idOf(hash) !== id)
    if (left.length === this.#known.length) throw new MeridianError('not_found', 'token')
    await this.#keep(left)
  }

  async #keep(tokens: readonly Token[]): Promise<void> {
    this.#known = tokens
    await this.engine.run((tx) => tx.put({ key: ROW, value: encodeAs(zRow, [...tokens]) })).durable
  }
}
