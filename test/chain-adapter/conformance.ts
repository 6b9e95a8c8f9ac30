/**
 * The one suite that proves every adapter (A5). An adapter joins by saying how it is opened and what it supports:
 *
 *   conformance({ name: 'mine', supports: { manualClock: true, ... }, open: async (t, genesis) => ({ chain, ... }) })
 */
import t from 'tap'
import type { Genesis } from '../../src/base/genesis.js'
import type { ChainAdapter, LedgerTime } from '../../src/base/ports/chain.js'
import { testGenesis } from '../contract/world.js'
import { manualTime, reorganisation, withholding } from './conformance/faults.js'
import { closing, eventReplay, headsAndViews, restarting } from './conformance/following.js'
import { concurrency, idempotence, refusals, submission } from './conformance/submitting.js'
import { User } from './conformance/user.js'

/** One ledger and ways to trouble it. */
export interface Opened {
  readonly chain: ChainAdapter
  /** Another client of the same ledger. */
  readonly second: () => Promise<ChainAdapter>
  /** supports.manualClock: ledger time moves by exactly that much. */
  readonly advance?: (seconds: number) => Promise<LedgerTime>
  /** supports.withholding: while on, what is submitted waits; `pass` lets time go by without it. */
  readonly withhold?: (on: boolean) => Promise<void>
  readonly pass?: (seconds: number) => Promise<LedgerTime>
  /** supports.reorganisation: the newest block is replaced by two others that hold the same transactions or none. */
  readonly reorganise?: () => Promise<void>
  /** supports.restart: the ledger's process ends without a word and comes back; a fresh client of it. */
  readonly restart?: () => Promise<ChainAdapter>
}

export interface Subject {
  readonly name: string
  readonly supports: {
    readonly manualClock: boolean
    readonly withholding: boolean
    readonly reorganisation: boolean
    readonly restart: boolean
  }
  /** A fresh ledger of this genesis, for the whole suite; torn down by the test's teardown. */
  readonly open: (t: Tap, genesis: Genesis) => Promise<Opened>
}

export type Tap = Pick<
  typeof t,
  'equal' | 'not' | 'same' | 'ok' | 'rejects' | 'match' | 'testdir' | 'teardown' | 'test'
>

/** What every group gets: alice is registered by the first. Groups follow each other on one ledger. */
export interface Scene extends Opened {
  readonly supports: Subject['supports']
  readonly user: User
}

export function conformance({ name, supports, open }: Subject): void {
  t.test(`${name} is a chain adapter`, async (t) => {
    const opened = await open(t, testGenesis())
    const scene: Scene = { ...opened, supports, user: new User(opened.chain) }
    await t.test('submit', (t) => submission(t, scene))
    await t.test('refusals', (t) => refusals(t, scene))
    await t.test('idempotence', (t) => idempotence(t, scene))
    await t.test('concurrent submitters', (t) => concurrency(t, scene))
    await t.test('events', (t) => eventReplay(t, scene))
    await t.test('heads and views', (t) => headsAndViews(t, scene))
    await t.test('close', (t) => closing(t, scene))
    if (supports.manualClock) await t.test('exact times', (t) => manualTime(t, scene))
    if (supports.withholding) await t.test('withheld transactions', (t) => withholding(t, scene))
    if (supports.reorganisation) await t.test('reorganisation', (t) => reorganisation(t, scene))
    if (supports.restart) await t.test('restart', (t) => restarting(t, scene))
  })
}
