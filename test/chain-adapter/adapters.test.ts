import { join } from 'node:path'
import { ledgerIdOf } from '../../src/base/genesis.js'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import { serveLedger } from '../../src/chain-adapter/embedded/server.js'
import { connectLedger } from '../../src/chain-adapter/remote/client.js'
import { RemoteClock } from '../../src/chain-adapter/remote/test-clock.js'
import { conformance } from './conformance.js'
import { createLedger, openLedger } from './fixtures.js'

const supports = { manualClock: true, withholding: true, reorganisation: false, restart: true }

conformance({
  name: 'the embedded ledger in this process',
  supports,
  async open(t, genesis) {
    const dir = join(t.testdir(), 'ledger')
    let ledger = await createLedger({ genesis, dir })
    t.teardown(() => ledger.close())
    return {
      chain: inProcessAdapter(ledger),
      second: async () => inProcessAdapter(ledger),
      advance: (seconds) => ledger.advance({ seconds }),
      withhold: (on) => ledger.hold(on),
      pass: (seconds) => ledger.advance({ seconds, include: false, expect: 1 }),
      async restart() {
        await ledger.close()
        ledger = await openLedger({ genesis, dir })
        return inProcessAdapter(ledger)
      },
    }
  },
})

conformance({
  name: 'the embedded ledger over HTTP and WebSocket',
  supports,
  async open(t, genesis) {
    const dir = join(t.testdir(), 'ledger')
    let ledger = await createLedger({ genesis, dir })
    let server = await serveLedger(ledger)
    const connect = () => connectLedger(server.url, ledgerIdOf(genesis))
    const clock = () => new RemoteClock(server.url)
    let chain = await connect()
    t.teardown(async () => {
      await chain.close()
      await server.close()
      await ledger.close()
    })
    return {
      chain,
      second: connect,
      advance: (seconds) => clock().advance({ seconds }),
      withhold: (on) => clock().hold(on),
      pass: (seconds) => clock().advance({ seconds, include: false, expect: 1 }),
      async restart() {
        await chain.close()
        await server.close()
        await ledger.close()
        ledger = await openLedger({ genesis, dir })
        server = await serveLedger(ledger)
        chain = await connect()
        return chain
      },
    }
  },
})
