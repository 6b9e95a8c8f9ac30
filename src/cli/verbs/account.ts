import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { z } from 'zod'
import { type Amount, formatGrouped } from '../../base/amount.js'
import { amountOption } from '../amount-option.js'
import { filesOf, readInput, readPublicKey } from '../directory.js'
import { UsageError } from '../exit.js'
import { ask, type NodeVerbOptions, nodeVerb, type WriteVerbOptions, write, writeVerb } from '../node-verb.js'
import { columns, toJson } from '../output.js'
import { group } from '../verb.js'
import { exportVerb } from './account-export.js'

interface AmountVerbOptions extends WriteVerbOptions {
  readonly amount: Amount
}

export const accountVerb = (): Command =>
  group('account', 'the account on the ledger: balance, registration, transfers', [
    showVerb,
    registerVerb,
    admitVerb,
    mintVerb,
    redeemVerb,
    transferVerb,
    rolloverVerb,
    exportVerb,
  ])

const showVerb = (): Command =>
  nodeVerb('show', 'balance: available, pending (received), frozen (on its way to available)').action(show)

async function show(options: NodeVerbOptions): Promise<void> {
  const { api, out } = await ask(options)
  const account = await api.account()
  const { available_minor: available, pending_open_minor: pending, pending_frozen_minor: frozen } = account
  const rows = [
    ['account', account.account],
    ['registered', account.registered ? 'yes' : 'no: meridian account register'],
    ['available', formatGrouped(available)],
    ['pending', formatGrouped(pending)],
    ['frozen', formatGrouped(frozen)],
  ]
  out.print(columns(rows), account)
}

const registerVerb = (): Command =>
  writeVerb('register', 'bring the account onto the ledger, with the admission that the issuer gave')
    .option('--admission <file>', 'the file that `account admit` of the issuer wrote')
    .action(register)

interface RegisterOptions extends WriteVerbOptions {
  readonly admission?: string
}

/** `account` and `admission`, as `account admit` writes them: a signature over public values, no secret. */
const zAdmissionFile = z.strictObject({ account: z.string(), admission: z.string().regex(/^[0-9a-f]{128}$/) })

async function register(options: RegisterOptions): Promise<void> {
  const { admission: path } = options
  if (path === undefined) return explainRegistration(options)
  const file = zAdmissionFile.safeParse(parseJson(path, new TextDecoder().decode(await readInput(path))))
  if (!file.success) throw new UsageError(`${path} is no admission as \`account admit\` writes it`)
  await write(options, async ({ api, out }, key) => {
    const done = await api.register(key, file.data.admission)
    out.print(`registered ${done.account}`, done)
  })
}

async function explainRegistration(options: NodeVerbOptions): Promise<void> {
  const { api, out } = await ask(options)
  const { account, registered } = await api.account()
  if (registered) return out.print(`registered ${account}`, { account, registered })
  const request = filesOf(options.dir).publicKey
  const next = [
    `Hand ${request} to the issuer (nothing in it is secret); it answers with the file of`,
    `  meridian account admit ${request} --out admission.json`,
    `Then: meridian account register --admission admission.json --dir ${options.dir}`,
  ]
  out.print(next.join('\n'), { account, registered, request })
}

const admitVerb = (): Command =>
  writeVerb('admit', "issuer: check an account's key proof and admit it")
    .argument('<request>', 'public.json of the account')
    .requiredOption('--out <file>', 'where the admission goes')
    .action(admit)

async function admit(request: string, options: WriteVerbOptions & { readonly out: string }): Promise<void> {
  const publicKey = await readPublicKey(request)
  await write(options, async ({ api, out }, key) => {
    const { account, admission } = await api.admit(key, publicKey)
    await writeFile(options.out, `${toJson({ account, admission })}\n`, { mode: 0o644 })
    out.print(`admitted ${account}: ${options.out} goes back to it`, { account, admission: options.out })
  })
}

const withAmount = (command: Command): Command =>
  command.requiredOption('--amount <decimal>', 'exactly two decimals, such as 1241.22', amountOption)

const mintVerb = (): Command =>
  withAmount(writeVerb('mint', 'issuer: create money in an account').argument('<account>', 'who gets it')).action(
    (to: string, options: AmountVerbOptions) =>
      move(options, 'minted', (api, key) => api.mint(key, to, options.amount)),
  )

const transferVerb = (): Command =>
  withAmount(writeVerb('transfer', 'pay on the ledger').argument('<account>', 'who gets it')).action(
    (to: string, options: AmountVerbOptions) =>
      move(options, 'transferred', (api, key) => api.transfer(key, to, options.amount)),
  )

const redeemVerb = (): Command =>
  withAmount(writeVerb('redeem', 'give money back to the issuer, who burns it')).action((options: AmountVerbOptions) =>
    move(options, 'redeemed', (api, key) => api.redeem(key, options.amount)),
  )

type Api = Awaited<ReturnType<typeof ask>>['api']

async function move(
  options: AmountVerbOptions,
  done: string,
  act: (api: Api, key: string) => ReturnType<Api['redeem']>,
): Promise<void> {
  await write(options, async ({ api, out }, key) => {
    const receipt = await act(api, key)
    const { amount } = options
    out.print(`${done} ${formatGrouped(amount)} in block ${receipt.height}`, { ...receipt, amount_minor: amount, key })
  })
}

const rolloverVerb = (): Command =>
  writeVerb('rollover', 'make frozen credits available and freeze pending ones (happens by itself when needed)').action(
    (options: WriteVerbOptions) =>
      write(options, async ({ api, out }, key) => {
        const receipt = await api.rollover(key)
        out.print(`rolled over in block ${receipt.height}`, { ...receipt, key })
      }),
  )

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UsageError(`${path} is no JSON`)
  }
}
