/** `demo --keep`: the demo's ledger and hub started again, with two accounts for whoever wants to try it by hand. */
import { relative } from 'node:path'
import { type Amount, formatDecimal } from '../../base/amount.js'
import { HUB, type PlannedParty } from './money.js'
import { Registrar } from './parties.js'
import type { Progress } from './progress.js'
import type { Party, Stage } from './stage.js'

const MINTED = 1_000_000n as Amount
const SHARE = 500_000n as Amount
const OWN = 100n as Amount
const FIRST_DEPOSIT = 250_000n as Amount
const FIRST_INVOICE = 124_122n as Amount

/** Alice has money and no channel; bob can be paid already. @returns what to type. */
export async function openSandbox(stage: Stage, progress: Progress): Promise<string> {
  const [alice, hub] = await progress.step('sandbox', async (tell) => {
    await stage.startLedger()
    await stage.startTower()
    for (const name of ['alice', 'bob']) await stage.init(name, 'participant')
    const hub = await stage.startHub(HUB)
    const [issuer] = await stage.start({ name: 'issuer', parties: ['issuer'] })
    const [alice, bob] = await stage.start({ name: 'sandbox', parties: ['alice', 'bob'], hub: HUB })
    const registrar = new Registrar(stage, issuer!, () => tell('accounts funded'))
    await registrar.mint(hub, SHARE, 'mint-hub-for-bob')
    await registrar.fund(alice!, MINTED)
    await registrar.fund(bob!, MINTED)
    await registrar.open(bob!, bobPlan)
    tell('alice is funded, bob has a channel with the hub')
    return [alice!, hub] as const
  })
  return walk(stage, alice, hub)
}

const bobPlan: PlannedParty = {
  name: 'bob',
  kind: 'hospital',
  identity: 'bob',
  hub: HUB,
  canary: false,
  mint: MINTED,
  deposit: OWN,
  share: SHARE,
}

/** The README's five commands, with this sandbox's paths. */
function walk(stage: Stage, alice: Party, hub: Party): string {
  const [a, b] = [alice.dir, stage.nodeDir('bob')].map((dir) => shorter(dir))
  const meridian = 'npx --no meridian'
  return [
    `The sandbox is up until Ctrl-C. ${HUB} ${hub.account}`,
    '',
    `  ${meridian} account show --dir ${a}`,
    `  ${meridian} channel open ${stage.hubAddress(alice)} --deposit ${formatDecimal(FIRST_DEPOSIT)} --dir ${a}`,
    `  ${meridian} channel list --dir ${a}`,
    `  ${meridian} invoice create --amount ${formatDecimal(FIRST_INVOICE)} --reference claim-1 --dir ${b}`,
    `  ${meridian} pay <the invoice> --dir ${a}`,
  ].join('\n')
}

const shorter = (path: string): string => {
  const from = relative('.', path)
  return from.length < path.length ? from : path
}
