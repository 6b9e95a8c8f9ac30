/** Thousands of peers that say hello to a hub and then nothing, each with a key of its own. */
import { randomBytes } from 'node:crypto'
import { parsePoint } from '../../base/curve/index.js'
import { prfScalar } from '../../base/digest.js'
import type { LedgerId } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { nodeCodec } from '../../node/messages.js'
import { connect } from '../../wire/connect.js'
import { negotiate } from '../../wire/peer.js'
import type { Handlers, IdleCalls } from './calls.js'
import { attend, say } from './child.js'
import { load } from './load.js'

/** More than it takes. */
const FOREVER_S = 86_400

let alive = 0

const handlers: Handlers<IdleCalls> = {
  connect: async ({ account, url, ledger, count, shape }) => {
    const remote = need(parsePoint(account))
    const act = async (): Promise<string | null> => {
      const key = prfScalar(new Uint8Array(randomBytes(32)), 'bench-idle')
      const session = await connect({ url, key, remote })
      if (!session.ok) return session.error.code
      const peer = await negotiate({ session: session.value, ledger: ledger as LedgerId, codec: nodeCodec })
      if (!peer.ok) return peer.error.code
      peer.value.onMessage(() => undefined)
      alive += 1
      peer.value.onClose(() => {
        alive -= 1
      })
      return null
    }
    const figures = await load({ shape, seconds: FOREVER_S, count, act, tell: (done) => say({ done }) })
    return { ...figures, paid: 0n, fees: 0n }
  },
  alive: async () => alive,
}

attend<IdleCalls>(handlers, async () => undefined)
