/** Whether the ledger answers, how old its newest head is, and how far its machine's clock is from ours. */
import { MeridianError } from '../../base/errors.js'
import { type Genesis, ledgerIdOf } from '../../base/genesis.js'
import { connectLedger } from '../../chain-adapter/remote/client.js'
import { doubt, type Finding, fault, fine } from './finding.js'

const ANSWER_MS = 5_000
/** The ledger makes an empty block every second or so: a head that stands still this long is a ledger that does. */
const HEADS_MS = 5_000
const CLOCK_TOLERANCE_S = 30

export async function ledgerChecks(dir: string, url: string, genesis: Genesis): Promise<Finding[]> {
  const mend = `start the ledger, or name the right one: "ledger" in ${dir}/config.json, or meridian start --dir ${dir} --ledger URL`
  try {
    const chain = await connectLedger(url, ledgerIdOf(genesis), { unknown_ms: ANSWER_MS })
    try {
      return [await age(chain.heads(AbortSignal.timeout(HEADS_MS)), url, mend), ...(await clock(url))]
    } finally {
      await chain.close()
    }
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error
    return [fault('ledger', `${url}: ${error.message}`, mend)]
  }
}

async function age(heads: AsyncIterable<{ readonly height: number }>, url: string, mend: string): Promise<Finding> {
  const began = process.hrtime.bigint()
  let first: number | undefined
  for await (const { height } of heads) {
    first ??= height
    if (height === first) continue
    const took_s = Number(process.hrtime.bigint() - began) / 1e9
    return fine('ledger', `${url} answers, height ${height}, a new head within ${took_s.toFixed(1)} s`)
  }
  const what = first === undefined ? 'sends no heads' : `stands still at height ${first}`
  return doubt('ledger', `${url} answers and ${what}: forwarding and opening stop, defence does not`, mend)
}

/** By the Date of its answer: ledger time itself may be a test's. */
async function clock(url: string): Promise<Finding[]> {
  const date = await fetch(`${url}/v1/now`, { method: 'GET', signal: AbortSignal.timeout(ANSWER_MS) }).then(
    (response) => response.headers.get('date'),
    () => null,
  )
  const theirs = date === null ? Number.NaN : Date.parse(date)
  if (Number.isNaN(theirs)) return []
  const difference_s = Math.round((theirs - Date.now()) / 1_000)
  const text = `this machine's clock is ${Math.abs(difference_s)} s ${difference_s < 0 ? 'ahead of' : 'behind'} the ledger's`
  if (Math.abs(difference_s) <= CLOCK_TOLERANCE_S) return [fine('clock', text)]
  return [doubt('clock', text, 'timedatectl set-ntp true (here, or on the machine of the ledger)')]
}
