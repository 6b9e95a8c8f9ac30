/** Channels of several nodes with one other node, opened as a bench asks for more of them. */
import { parseAccountId } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import type { Lane } from './calls.js'
import { balancesOf, type Host, type Link, type Member, type Town } from './town.js'

export interface SpreadOptions {
  /** Rising: how many channels the load is spread over. */
  readonly channels: readonly number[]
  /** Nodes on each side of the hub, whose channels they are. */
  readonly parties: number
}

export const ONE_CHANNEL: SpreadOptions = { channels: [1], parties: 1 }

export interface Deposits {
  /** Of whoever opens, and of the hub. */
  readonly deposit: bigint
  readonly share: bigint
}

export class Spread {
  links: readonly Link[] = []

  constructor(
    private readonly town: Town,
    private readonly members: readonly Member[],
    private hub: Host,
    private readonly deposits: Deposits,
  ) {}

  get lanes(): readonly Lane[] {
    return this.links.map(({ from, channel }) => ({ member: from.member, channel }))
  }

  /** By the members in turn, each one's own one after the other. */
  async openUntil(count: number, tell: (done: number) => void = () => undefined): Promise<void> {
    const { deposit, share } = this.deposits
    const first = this.links.length
    let done = first
    const missing = Array.from({ length: Math.max(0, count - first) }, (_, at) => first + at)
    const opened = await Promise.all(
      this.members.map(async (member, at) => {
        const own: Link[] = []
        for (const index of missing) {
          if (index % this.members.length !== at) continue
          own.push(await this.town.channel(member, this.hub, deposit, share))
          tell(++done)
        }
        return own
      }),
    )
    this.links = [...this.links, ...opened.flat()]
  }

  /** The hub runs in another process now. */
  moved(hub: Host): void {
    this.hub = hub
    this.links = this.links.map((link) => ({ ...link, to: hub }))
  }

  /** What the members have in the channels, and what the hub has. */
  balances(): Promise<readonly [bigint, bigint]> {
    return balancesOf(this.links)
  }
}

/** Of all channels of one side: so much lasts for any run, and somebody else's test ledger is not filled by it. */
export const depositsOf = (town: Town): bigint => (town.hub === undefined ? 1n << 45n : 1n << 32n)

/** The other end of the payers' channels: our own, or the hub elsewhere with enough to open channels with. */
export async function hubOf(town: Town, settle: () => Promise<Member>, funds: bigint): Promise<Host> {
  if (town.hub === undefined) return settle()
  await town.mint(need(parseAccountId(town.hub.account)), funds)
  return town.hub
}
