/** One payment and one death at one of its steps; then everybody starts again, and again, until it has ended everywhere. */
import type { Amount } from '../../../src/base/amount.js'
import type { Host } from '../simulate/host.js'
import { Judge, type Verdict } from './judge.js'
import { type Founded, Stage } from './stage.js'

/** Whom a cut takes, before which of its acts, and when it is there again. */
export interface Cut {
  readonly victim: string
  /** Counted from the payment's beginning. */
  readonly act: number
  /** The power goes, and what was not synced with it; else the process alone. */
  readonly power: boolean
  /** `late`: once nothing moves without it; `overdue`: when parts that waited for it have gone back (R1). */
  readonly back: 'at once' | 'late' | 'overdue'
}

export interface Ending {
  readonly view: Verdict['view']
  /** What each process did from the payment's beginning on, in its first life. */
  readonly acts: ReadonlyMap<string, number>
  readonly died: boolean
  readonly wrong: readonly string[]
}

const KEY = 'the payment'
const FEE_MAX = 1_000n as Amount
const EXPIRES_S = 10_000
/** Time goes on in these. */
const SLICE_S = 10
/** Longer than parts are held. */
const OVERDUE_S = 100
/** Longer than any hold and any wait for a peer, much shorter than any lock: nothing may need an expiry. */
const PATIENCE_S = 400

class Trial {
  readonly #stage: Stage
  readonly #judge: Judge
  #invoice: string | undefined
  /** Who was asked in which life: a caller asks whoever has started anew again. */
  readonly #asked = new Map<string, number>()
  readonly #wrong: string[] = []

  constructor(
    seed: string,
    private readonly founded: Founded,
  ) {
    this.#stage = new Stage(seed, founded.scene, founded)
    this.#judge = new Judge(this.#stage, founded, KEY)
  }

  async run(cut: Cut | undefined): Promise<Ending> {
    const hosts = [...this.#stage.hosts.values()]
    this.#revive()
    await this.#stage.exchange(() => undefined)
    const lives = new Map(hosts.map(({ name, life }) => [name, { life, done: life?.done ?? 0 }]))
    const victim = cut === undefined ? undefined : this.#stage.host(cut.victim)
    if (victim !== undefined && cut !== undefined) {
      victim.powerFails = cut.power
      victim.life?.light(cut.act)
    }
    await this.#untilEnded(cut?.back)
    const acts = new Map([...lives].map(([name, { life, done }]) => [name, (life?.done ?? 0) - done]))
    const died = victim !== undefined && victim.lives > 1
    const first = await this.#verdict('')
    for (const host of hosts) {
      host.powerFails = false
      host.life?.end()
    }
    await this.#untilEnded(undefined)
    const second = await this.#verdict('after another start: ')
    if (told(second) !== told(first)) this.#wrong.push(`told ${told(first)}, then ${told(second)}`)
    for (const host of hosts) host.life?.end()
    return { view: first.view, acts, died, wrong: this.#wrong }
  }

  async #verdict(when: string): Promise<Verdict> {
    const verdict = await this.#judge.verdict()
    this.#wrong.push(...verdict.wrong.map((what) => `${when}${what}`))
    return verdict
  }

  async #untilEnded(back: Cut['back'] | undefined): Promise<void> {
    await this.#rest(back)
    if (back === 'overdue') await this.#pass(OVERDUE_S)
    for (let passed = 0; ; passed += SLICE_S) {
      this.#revive()
      await this.#rest()
      if (passed >= PATIENCE_S || this.#judge.moving().length === 0) return
      await this.#pass(SLICE_S)
    }
  }

  /** Timers that are due, and blocks. */
  async #pass(seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed += SLICE_S) {
      await this.#stage.schedule.advance(SLICE_S * 1_000)
      this.#stage.ledger.propose()
      await this.#rest()
    }
  }

  /** Until nothing moves. */
  async #rest(back?: Cut['back']): Promise<void> {
    await this.#stage.exchange(() => {
      if (back === 'at once') this.#revive()
      this.#ask()
    })
  }

  #revive(): void {
    for (const host of this.#stage.hosts.values()) host.start()
  }

  /** The caller's part: with the same keys, as often as it takes. It begins once there is a way. */
  #ask(): void {
    const wish = { amount: this.founded.scene.amount as Amount, reference: KEY, expiresIn: EXPIRES_S }
    this.#once('payee', async ({ node }) => {
      const issued = await node?.issueInvoice(KEY, wish)
      if (issued?.ok === false) this.#wrong.push(`no invoice: ${issued.error.code}`)
      else this.#invoice = issued?.value.text
    })
    const text = this.#invoice
    const { node } = this.#stage.host('payer')
    const ready = node?.payment(KEY) !== undefined || node?.status().channelsReady === this.founded.scene.hubs.length
    if (text === undefined || !ready) return
    this.#once('payer', async ({ node }) => {
      const started = await node?.pay(KEY, text, FEE_MAX)
      if (started?.ok === false) this.#wrong.push(`no payment: ${started.error.code}`)
    })
  }

  #once(name: string, call: (host: Host) => Promise<void>): void {
    const host = this.#stage.host(name)
    if (!host.up || host.node?.status().ready !== true || this.#asked.get(name) === host.lives) return
    this.#asked.set(name, host.lives)
    call(host).catch((error: unknown) => this.#wrong.push(`a call threw ${error}`))
  }
}

const told = ({ view }: Verdict): string => `${view?.status} ${view?.code} ${view?.fee} ${view?.receipt}`

/** @param seed of the order in which things happen that could happen in any. */
export const trial = (founded: Founded, seed: string, cut?: Cut): Promise<Ending> => new Trial(seed, founded).run(cut)
