import { cbor, decodeAs } from '../../base/codec.js'
import { LIMITS } from '../../base/limits.js'
import type { LedgerHead } from '../../base/ports/chain.js'
import { zHead } from '../block.js'
import type { Advance } from '../embedded/engine.js'
import { need } from '../need.js'
import { LedgerHttp } from './http.js'

/** The manual clock of a ledger flagged `test`, over HTTP: for tests and the demo's sandbox. */
export class RemoteClock {
  readonly #http: LedgerHttp

  constructor(url: string, closing: AbortSignal = new AbortController().signal) {
    this.#http = new LedgerHttp({ url, closing, unknown_ms: LIMITS.ledger_unknown_ms })
  }

  /** One block, so many seconds later. Not repeatable: a broken connection may leave time advanced. @throws MeridianError */
  async advance({ seconds, include = true, expect = 0 }: Advance): Promise<LedgerHead> {
    const step = cbor({ seconds, include, expect })
    return need(decodeAs(zHead, await this.#http.post('/v1/test/advance', step, 4_096)))
  }

  async hold(held: boolean): Promise<void> {
    await this.#http.post('/v1/test/hold', cbor({ held }), 4_096)
  }
}
