import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import { connectApi } from '../../api/client.js'
import { EVENT_SCHEMAS, isEventType, type KnownEvent } from '../../api/event-types.js'
import { formatGrouped } from '../../base/amount.js'
import { utf8 } from '../../base/bytes.js'
import { createPool } from '../../privacy/pool.js'
import { writeFileAtomic } from '../../store/file.js'
import { openAccountKeys } from '../../wallet/keys.js'
import { AccountMovements, type Holdings, type LedgerMovement } from '../../wallet/movements.js'
import { type ChannelBalance, type Check, checksOf, csvOf, type Statement, statementOf } from '../account-statement.js'
import { readConfig } from '../config.js'
import { genesisOf, readSecrets } from '../directory.js'
import { EXIT, UsageError, VerbExit } from '../exit.js'
import { columns } from '../output.js'
import { outside, passphraseFor } from '../passphrase.js'
import { connected } from '../reach.js'
import { type DirectoryVerbOptions, directoryVerb, outputOf } from '../verb.js'

interface ExportOptions extends DirectoryVerbOptions {
  readonly csv: string
  readonly archive?: true
  readonly genesis?: string
}

export const exportVerb = (): Command =>
  directoryVerb('export', 'every movement of the running node as CSV, checked against what it holds')
    .requiredOption('--csv <file>', 'where it goes, outside of the directory')
    .option(
      '--archive',
      'the file is kept: the events in it may leave the node once they are older than events_kept_days',
    )
    .option('--genesis <file>', "genesis.cbor of the ledger (default: the directory's)")
    .action(exportMovements)

interface Snapshot {
  readonly statement: Statement
  readonly checks: readonly Check[]
  /** Under way in channels: until they end, the channels' sum cannot agree. */
  readonly locks: number
  /** Cursor of the newest event in it. */
  readonly cursor: number
}

/** Money may move between the looks at ledger, log and channels: what came since is read until all agree. */
const TRIES = 5
const PAUSE_MS = 1_000

async function exportMovements(options: ExportOptions): Promise<void> {
  const { dir, csv, archive } = options
  outside(dir, csv, 'the file of movements')
  if (existsSync(csv)) throw new UsageError(`${csv} is there already; it is not overwritten`)
  const out = outputOf(options)
  const snapshot = await settledSnapshot(options)
  const { statement, checks, locks, cursor } = snapshot
  await writeFileAtomic(csv, utf8([...csvOf(statement)].join('')))
  const rows = checks.map(({ what, counted, held }) => [
    counted === held ? 'agrees' : 'DIFFERS',
    what,
    `${money(counted)} counted`,
    `${money(held)} held`,
  ])
  const marked = archive === true && agrees(snapshot) // only what adds up
  if (marked) await (await connectApi(dir)).archiveEvents(`archive ${cursor}`, cursor)
  const words = [columns(rows), `${statement.lines.length} movements in ${csv}`]
  if (marked)
    words.push(`archived up to event ${cursor}: they leave the node once they are older than events_kept_days`)
  out.print(words.join('\n'), {
    csv,
    movements: statement.lines.length,
    ledger_minor: statement.ledger,
    channels_minor: statement.channels,
    agrees: agrees(snapshot),
    locks,
    cursor,
    archived: marked ? cursor : null,
  })
  if (agrees(snapshot)) return
  if (locks > 0) throw new VerbExit(EXIT.pending, `${locks} locks are under way: export again once they have ended`)
  throw new VerbExit(
    EXIT.checkFailed,
    'the movements do not add up to what is held (a restored node lacks its old log)',
  )
}

const money = (value: bigint): string =>
  `${value < 0n ? '-' : ''}${formatGrouped((value < 0n ? -value : value) as never)}`
const agrees = ({ checks }: Snapshot): boolean => checks.every(({ counted, held }) => counted === held)

async function settledSnapshot(options: ExportOptions): Promise<Snapshot> {
  const { dir } = options
  const api = await connectApi(dir)
  const config = await readConfig(dir)
  const genesis = await genesisOf(dir, options.genesis)
  const secrets = await readSecrets(dir, await passphraseFor(options))
  const pool = createPool()
  const chain = await connected(config.ledger, genesis, outputOf(options))
  try {
    const { account, paillier: key } = await openAccountKeys(secrets, genesis.keyBits, pool)
    const ledger = new AccountMovements({ source: chain, account, key, pool })
    const movements: LedgerMovement[] = []
    const { pruned } = await api.eventArchive()
    const carried = pruned.cursor === 0 ? undefined : { time: pruned.time, channels: pruned.channels_minor }
    const log = new EventBook(api, pruned.cursor)
    for (let tries = 1; ; tries++) {
      for await (const movement of ledger.more()) movements.push(movement)
      const { channels, held } = await balances(api)
      const statement = statementOf(movements, await log.all(), channels, carried)
      const locks = channels.reduce((sum, channel) => sum + (channel.phase === 'closed' ? 0 : channel.locks), 0)
      const checks = checksOf(statement, ledger.holdings, held, channels)
      const snapshot = { statement, checks, locks, cursor: log.cursor }
      if (agrees(snapshot) || tries === TRIES) return snapshot
      await pause(PAUSE_MS)
    }
  } finally {
    await chain.close()
    await pool.close()
  }
}

type Api = Awaited<ReturnType<typeof connectApi>>

async function balances(api: Api): Promise<{ readonly channels: ChannelBalance[]; readonly held: Holdings }> {
  const [{ channels }, account] = [await api.channels(), await api.account()]
  return {
    channels: channels.map(({ channel, phase, balance_minor: balance, locks }) => ({ channel, phase, balance, locks })),
    held: {
      available: account.available_minor,
      pendingOpen: account.pending_open_minor,
      pendingFrozen: account.pending_frozen_minor,
    },
  }
}

/** The node's log as far as it was read. */
class EventBook {
  readonly #events: KnownEvent[] = []
  #after: number

  /** @param after what has left the log */
  constructor(
    private readonly api: Api,
    after: number,
  ) {
    this.#after = after
  }

  get cursor(): number {
    return this.#after
  }

  async all(): Promise<readonly KnownEvent[]> {
    for (;;) {
      const { events, cursor } = await this.api.eventPage(this.#after)
      if (events.length === 0) return this.#events
      for (const event of events) if (isEventType(event.type)) this.#events.push(EVENT_SCHEMAS[event.type].parse(event))
      this.#after = cursor
    }
  }
}
