/** A tower judged by receipt and blocks alone: guilty, innocent, undecided; blocks that are no chain decide nothing. */
import t from 'tap'
import { utf8 } from '../../src/base/bytes.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import type { ChannelId } from '../../src/base/ids.js'
import { receiptDigest } from '../../src/base/message/tower.js'
import { type ChannelHistory, judge, type Verdict } from '../../src/watchtower/fault.js'
import type { ReceiptBody, TowerReceipt } from '../../src/watchtower/tower-receipt.js'

const keyOf = (name: string): Scalar => prfScalar(sha256(utf8(name)), 'role')
const accountOf = (name: string) => curve.multiplyBase(keyOf(name))
const channel = sha256(utf8('channel')) as Uint8Array as ChannelId & ReceiptBody['channel']
const parties = { ledger: sha256(utf8('ledger')), tower: accountOf('tower'), client: accountOf('alice') }

/** Signed for version 10 with secrets below 9, in block 50. */
const unsigned = { channel, version: 10, secrets: 9, height: 50, time: 5_000 }
const signature = curve.sign(receiptDigest(parties, unsigned), keyOf('tower'))
const receipt: TowerReceipt = { parties, body: { ...unsigned, signature } }

const accounts: ChannelHistory['accounts'] = [accountOf('alice'), accountOf('bob')]
const base: ChannelHistory = { accounts, window: 100 }
const at = (height: number) => ({ height, time: height * 100 })
const exitBy = (poster: 0 | 1, version: number, height = 60): ChannelHistory => ({
  ...base,
  exit: { poster, version, at: at(height) },
  standing: version,
})
const ended = (
  history: ChannelHistory,
  kind: 'settle' | 'punish' | 'closeChannel',
  standing?: number,
): ChannelHistory => ({
  ...history,
  ...(standing === undefined ? {} : { standing }),
  end: { kind, at: at(70) },
})

const CASES: readonly (readonly [string, ChannelHistory, Verdict['verdict'], Verdict['reason']])[] = [
  ['nobody exited', base, 'not_guilty', 'no_exit'],
  ['closed without a dispute', ended(base, 'closeChannel'), 'not_guilty', 'no_exit'],
  ['the client exited', ended(exitBy(0, 3), 'settle'), 'not_guilty', 'own_exit'],
  ['an exit with the very state', ended(exitBy(1, 10), 'settle'), 'not_guilty', 'exit_not_older'],
  ['an exit with a newer one', ended(exitBy(1, 11), 'settle'), 'not_guilty', 'exit_not_older'],
  ['punished', ended(exitBy(1, 3), 'punish'), 'not_guilty', 'punished'],
  ['closed together in the dispute', ended(exitBy(1, 3), 'closeChannel'), 'not_guilty', 'agreed'],
  ['superseded by the state', ended(exitBy(1, 9), 'settle', 10), 'not_guilty', 'superseded'],
  ['revoked, superseded by a newer one', ended(exitBy(1, 3), 'settle', 12), 'not_guilty', 'superseded'],
  ['not settled yet', exitBy(1, 3), 'undecided', 'dispute_running'],
  ['settled, but exited before the receipt', ended(exitBy(1, 3, 50), 'settle'), 'undecided', 'exit_before_receipt'],
  ['revoked, settled', ended(exitBy(1, 8, 51), 'settle'), 'guilty', 'punish_missing'],
  ['old and unrevoked, settled', ended(exitBy(1, 9), 'settle'), 'guilty', 'supersede_missing'],
  ['superseded by too little', ended(exitBy(1, 3), 'settle', 9), 'guilty', 'punish_missing'],
]

t.test('every course of a dispute', (t) => {
  for (const [name, history, verdict, reason] of CASES) {
    t.match(judge(receipt, history), { ok: true, value: { verdict, reason } }, name)
  }
  const guilty = judge(receipt, ended(exitBy(1, 9), 'settle'))
  t.match(
    guilty,
    { value: { exit: { version: 9, at: at(60) }, deadline: 6_100, end: { at: at(70) } } },
    'what and when',
  )
  const foreign = { ...ended(exitBy(1, 9), 'settle'), accounts: [accountOf('carol'), accountOf('bob')] as const }
  t.match(judge(receipt, foreign as unknown as ChannelHistory), { ok: false, error: { code: 'tower_receipt_foreign' } })
  t.end()
})
