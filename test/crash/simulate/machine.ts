/** A machine in the world: its disk outlives every life of the process on it. */
import { MeridianError } from '../../../src/base/errors.js'
import type { Schedule } from './clock.js'
import { Disk } from './disk.js'
import type { SimulatedLedger } from './ledger.js'
import { Life } from './life.js'
import type { Network } from './network.js'
import type { Proofs } from './proofs.js'
import type { Random } from './random.js'
import type { TowerNetwork } from './tower-network.js'

export interface Site {
  readonly seed: string
  readonly random: Random
  readonly schedule: Schedule
  readonly ledger: SimulatedLedger
  readonly network: Network
  readonly towers: TowerNetwork
  readonly proofs: Proofs
}

export abstract class Machine {
  readonly disk: Disk
  life: Life | undefined
  lives = 0
  /** How its next death takes the page cache with it. */
  powerFails = false
  /** Nobody starts it before this is taken back. */
  away = false
  /** Why it could not start, last. */
  failure: string | undefined

  constructor(
    readonly name: string,
    protected readonly site: Site,
  ) {
    this.disk = new Disk(site.schedule)
  }

  get up(): boolean {
    return this.life?.alive === true
  }

  start(): void {
    if (this.up || this.away) return
    const { schedule, ledger, random } = this.site
    this.lives += 1
    const life = new Life(this.name, (dead) => {
      schedule.forget(dead)
      ledger.forget(dead)
      this.gone()
      if (this.powerFails) this.disk.powerCut(random)
      else this.disk.killed()
      this.powerFails = false
    })
    this.life = life
    this.failure = undefined
    this.run(life).catch((error: unknown) => {
      if (!life.alive) return
      // The ledger did not say what became of a transaction: its operator starts it again.
      if (error instanceof MeridianError && error.code === 'unavailable') return life.end()
      this.failure = error instanceof Error ? error.message : String(error)
      life.end()
    })
  }

  /** The process, from its first line on. */
  protected abstract run(life: Life): Promise<void>
  /** The process has ended: its sockets with it. */
  protected abstract gone(): void
}
