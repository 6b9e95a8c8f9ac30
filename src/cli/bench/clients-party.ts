/** The process of a tower's clients: each a TowerClient over its own connection; every receipt's signature is checked. */
import { curve, parsePoint, parseScalar } from '../../base/curve/index.js'
import { invariant } from '../../base/errors.js'
import { type ChannelId, idText, type LedgerId } from '../../base/ids.js'
import { delegationDigest } from '../../base/transaction.js'
import { need } from '../../chain-adapter/need.js'
import { EMPTY_STORE, insertSecret, type RevocationStore } from '../../channel/revocation.js'
import { TowerClient } from '../../watchtower/client.js'
import { towerNetwork } from '../../watchtower/link.js'
import { silent, systemEntropy, systemTimers } from '../../wire/environment.js'
import type { ClientCalls, ClientsSetup, Handlers, Loaded, WatchedChannel } from './calls.js'
import { attend, say } from './child.js'
import { type LoadPlan, load } from './load.js'
import { StateMaker, secretAt } from './watched-channel.js'

/** The first state that a tower is given: there are revoked ones below it. */
const FIRST_VERSION = 2
/** More than any load takes. */
const FOREVER_S = 86_400

interface Line {
  readonly maker: StateMaker
  readonly client: TowerClient
  readonly cheater: 0 | 1
  version: number
  secrets: RevocationStore
  /** Resolves when nothing of it is under way: one state after the other. */
  idle: Promise<unknown>
}

class Host {
  readonly #clients: TowerClient[] = []
  readonly #lines: Line[] = []
  /** By channel: who waits for a receipt. */
  readonly #waiting = new Map<string, () => void>()
  #keyBits = 0
  #next = 0

  readonly handlers: Handlers<ClientCalls> = {
    open: (setup) => this.#open(setup),
    take: async ({ channels, window }) => {
      const fresh = channels.map((channel) => this.#lineOf(channel))
      this.#lines.push(...fresh)
      const stock = fresh.values()
      return this.#load({
        shape: { window },
        seconds: FOREVER_S,
        count: fresh.length,
        act: () => this.#give(stock.next().value),
      })
    },
    appoint: (timed) => this.#load({ ...timed, act: () => this.#give(this.#lines[this.#next++ % this.#lines.length]) }),
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close()
  }

  async #open({ tower, ledger: id, keyBits, clients }: ClientsSetup): Promise<null> {
    this.#keyBits = keyBits
    const ledger = id as LedgerId
    const towerAccount = need(parsePoint(tower.account))
    for (const bytes of clients) {
      const key = need(parseScalar(bytes))
      const account = curve.multiplyBase(key)
      const client = new TowerClient({
        tower: { account: towerAccount, url: tower.url },
        parties: { ledger, tower: towerAccount, client: account },
        delegation: curve.sign(delegationDigest(ledger, account, towerAccount), key),
        events: {
          registered: () => undefined,
          receipt: ({ channel }) => this.#waiting.get(idText(channel))?.(),
          job: () => undefined,
          jobRefused: () => undefined,
          jobCancelled: () => undefined,
        },
        logger: silent,
        timers: systemTimers,
        random: Math.random,
      })
      client.start(towerNetwork({ key, ledger, logger: silent, timers: systemTimers, entropy: systemEntropy }))
      this.#clients.push(client)
    }
    return null
  }

  #lineOf({ id, client, cheater }: WatchedChannel): Line {
    const channel = id as ChannelId
    const watched = this.#clients[client]!
    watched.watch(channel, undefined)
    const line = { client: watched, cheater, version: 0, secrets: EMPTY_STORE, idle: Promise.resolve() }
    for (let version = 1; version < FIRST_VERSION; version++) advance(channel, line)
    return { maker: new StateMaker(channel, this.#keyBits), ...line }
  }

  /** The channel's next state, with the cheater's secrets of all before: done when its receipt is here. */
  async #give(line: Line | undefined): Promise<string | null> {
    if (line === undefined) return 'no channel'
    const given = line.idle.then(() => this.#giveNow(line))
    line.idle = given
    await given
    return null
  }

  async #giveNow(line: Line): Promise<void> {
    const { maker, client } = line
    advance(maker.id, line)
    const { version, secrets } = line
    const { encoded: state, signatures } = maker.state(version)
    await new Promise<void>((resolve) => {
      this.#waiting.set(idText(maker.id), resolve)
      client.update({ channel: maker.id, version, state, signatures, secrets })
    })
  }

  async #load(plan: Omit<LoadPlan, 'tell'>): Promise<Loaded> {
    const figures = await load({ ...plan, tell: (done) => say({ done }) })
    return { ...figures, paid: 0n, fees: 0n }
  }
}

/** One version on: the cheater's secret of the one before is known. */
function advance(id: ChannelId, line: Pick<Line, 'cheater' | 'version' | 'secrets'>): void {
  const secrets = insertSecret(line.secrets, secretAt(id, line.cheater, line.version))
  invariant(secrets !== undefined, 'C3', 'secrets of one seed are no tree')
  line.version += 1
  line.secrets = secrets
}

const host = new Host()
attend<ClientCalls>(host.handlers, () => host.close())
