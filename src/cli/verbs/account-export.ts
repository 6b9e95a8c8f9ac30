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
  readonly genesis?: string
}

export const exportVerb = (): Command =>
  directoryVerb('export', 'every movement of the running node as CSV, checked against what it holds')
    .requiredOption('--csv <file>', 'where it goes, outside of the directory')
    .option('--genesis <file>', "genesis.cbor of the ledger (default: the directory's)")
    .action(exportMovements)

interface Snapshot {
  readonly statement: Statement
  readonly checks: readonly Check[]
  /** Under way in channels: until they end, the channels' sum cannot agree. */
  readonly locks: number
}

/** Money may move between the looks at ledger, log and channels: what came since is read until all agree. */
const TRIES = 5
const PAUSE_MS = 1_000

async function exportMovements(options: ExportOptions): Promise<void> {
  const { dir, csv } = options
  outside(dir, csv, 'the file of movements')
  if (existsSync(csv)) throw new UsageError(`${csv} is there already; it is not overwritten`)
  const out = outputOf(options)
  const snapshot = await settledSnapshot(options)
  const { statement, checks, locks } = snapshot
  await writeFileAtomic(csv, utf8([...csvOf(statement)].join('')))
  const rows = checks.map(({ what, counted, held }) => [
    counted === held ? 'agrees' : 'DIFFERS',
    what,
    `${money(counted)} counted`,
    `${money(held)} held`,
  ])
  out.print(`${columns(rows)}\n${statement.lines.length} movements in ${csv}`, {
    csv,
    movements: statement.lines.length,
    ledger_minor: statement.ledger,
    channels_minor: statement.channels,
    agrees: agrees(snapshot),
    locks,
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
    const log = new EventBook(api)
    for (let tries = 1; ; tries++) {
      for await (const movement of ledger.more()) movements.push(movement)
      const { channels, held } = await balances(api)
      const statement = statementOf(movements, await log.all(), channels)
      const locks = channels.reduce((sum, channel) => sum + (channel.phase === 'closed' ? 0 : channel.locks), 0)
      const snapshot = { statement, checks: checksOf(statement, ledger.holdings, held, channels), locks }
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
  #after = 0

  constructor(private readonly api: Api) {}

  async all(): Promise<readonly KnownEvent[]> {
    for (;;) {
      const { events, cursor } = await this.api.eventPage(this.#after)
      if (events.length === 0) return this.#events
      for (const event of events) if (isEventType(event.type)) this.#events.push(EVENT_SCHEMAS[event.type].parse(event))
      this.#after = cursor
    }
  }
}
