/** The verbs by hand, each a process of its own: from an empty directory to a paid and settled claim, and an audit. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Ran, type Running, run, serve } from './cli.js'

const root = t.testdir()
const at = (...parts: string[]): string => join(root, ...parts)
writeFileSync(at('passphrase'), 'correct horse\n')
const env = { MERIDIAN_PASSPHRASE_FILE: at('passphrase') }

const running: Running[] = []
t.teardown(() => Promise.all(running.map((process) => process.stop('SIGKILL'))))

/** A verb that must succeed; its last line of JSON. */
async function did(...args: string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await run([...args, '--json'], env)
  if (code !== 0) throw new Error(`${args.join(' ')}: exit ${code}\n${out}${err}`)
  return JSON.parse(out.trim().split('\n').at(-1)!) as Record<string, unknown>
}
const tried = (...args: string[]): Promise<Ran> => run(args, env)

/** Starts a server; its lines until the one that says ready. */
async function started(
  ...args: string[]
): Promise<{ readonly process: Running; readonly lines: Record<string, unknown>[] }> {
  const process = serve([...args, '--json'], env)
  running.push(process)
  const lines: Record<string, unknown>[] = []
  for (;;) {
    const line = await process.next()
    if (line === undefined) throw new Error(`${args.join(' ')} ended before it was ready`)
    lines.push(JSON.parse(line) as Record<string, unknown>)
    if (lines.at(-1)!['ready'] !== undefined) return { process, lines }
  }
}

const dir = (name: string): readonly [string, string] => ['--dir', at(name)]
const accounts = new Map<string, string>()
const addresses = new Map<string, string>()
let ledgerUrl = ''
let payerProcess: Running
let ledgerId = ''

t.test('genesis, ledger, nodes', async (t) => {
  const init = async (name: string, role: string, ...more: string[]) => {
    const made = await did('init', ...dir(name), '--role', role, ...more)
    accounts.set(name, made['account'] as string)
  }
  await Promise.all(['issuer', 'regulator'].map((role) => init(role, role, '--key-bits', '1024', '--test')))
  const keys = ['--issuer', at('issuer', 'public.json'), '--regulator', at('regulator', 'public.json')]
  const genesis = await did('genesis', ...dir('ledger'), ...keys, '--test', '--window-min', '10')
  ledgerId = genesis['ledger'] as string
  const ledger = await started('ledger', ...dir('ledger'), '--port', '0', '--block-ms', '20')
  ledgerUrl = ledger.lines[0]!['ready'] as string
  const genesisFile = ['--genesis', at('ledger', 'genesis.cbor'), '--ledger', ledgerUrl]
  await Promise.all([
    init('hub', 'hub', ...genesisFile),
    init('hospital', 'participant', ...genesisFile),
    init('payer', 'participant', ...genesisFile),
  ])
  const stopped = await tried('account', 'show', ...dir('payer'))
  t.equal(stopped.code, 4)
  t.match(stopped.err, /meridian start --dir/)

  const [both, hub] = await Promise.all([
    started('start', ...dir('hospital'), ...dir('payer')),
    started('hub', ...dir('hub'), '--inbound-max', '5000.00', '--fee-base', '0.01', '--fee-ppm', '100'),
    started('start', ...dir('issuer'), ...genesisFile),
  ])
  payerProcess = both.process
  t.equal(both.lines.length, 3, 'two nodes in one process, and READY')
  for (const line of [...both.lines, ...hub.lines]) {
    if (typeof line['account'] === 'string') addresses.set(line['account'], line['address'] as string)
  }
  t.equal(statSync(at('hub', 'api.json')).mode & 0o777, 0o600)
  t.match(hub.lines[0], { forwarding: true, channels: 0 })
  const twice = await tried('start', ...dir('hub'))
  t.equal(twice.code, 3)
  t.match(twice.err, /store_locked/)
})

t.test('accounts: a request, an admission, money', async (t) => {
  const join = async (name: string) => {
    const asked = await did('account', 'register', ...dir(name))
    t.same(asked, { account: accounts.get(name), registered: false, request: at(name, 'public.json') })
    await did('account', 'admit', asked['request'] as string, '--out', at(`${name}.json`), ...dir('issuer'))
    t.match(await did('account', 'register', '--admission', at(`${name}.json`), ...dir(name)), { registered: true })
  }
  await Promise.all(['hub', 'hospital', 'payer'].map(join))
  const shown = await tried('account', 'register', ...dir('payer'))
  t.match(shown.out, /^registered /)
  const mint = ['account', 'mint', accounts.get('payer')!, ...dir('issuer')]
  const mend = await tried(...mint, '--amount', '1241')
  t.same([mend.code, /write 1241\.00/.test(mend.err)], [2, true], mend.err)
  await did(...mint, '--amount', '100000.00', '--key', 'first')
  await did(...mint, '--amount', '100000.00', '--key', 'first')
  await did('account', 'mint', accounts.get('hub')!, ...dir('issuer'), '--amount', '20000.00')
  await did('account', 'transfer', accounts.get('hospital')!, '--amount', '10.00', ...dir('payer'))
  await did('account', 'rollover', ...dir('hospital'))
  await did('account', 'redeem', '--amount', '0.50', ...dir('hospital'))
  t.match(await did('account', 'show', ...dir('payer')), { registered: true, available_minor: '9999000' })
  const human = await tried('account', 'show', ...dir('hospital'))
  t.match(human.out, /available\s+9\.50/)
  const poor = await tried('account', 'transfer', accounts.get('hub')!, '--amount', '100.00', ...dir('hospital'))
  t.same([poor.code, /insufficient_funds/.test(poor.err)], [3, true])
  t.equal((await tried('account', 'mint', accounts.get('hub')!, '--amount', '1.00', ...dir('payer'))).code, 3)
})

t.test('channels with the hub, on the side of its deposits too', async (t) => {
  const hub = addresses.get(accounts.get('hub')!)!
  await did('channel', 'open', hub, '--deposit', '50000.00', ...dir('payer'))
  const open = ['channel', 'open', hub, '--deposit', '1.00', ...dir('hospital')]
  const refused = await tried(...open, '--ask-inbound', '6000.00')
  t.same([refused.code, /open_not_allowed/.test(refused.err)], [3, true], refused.err)
  await did(...open, '--ask-inbound', '5000.00')
  const hospital = addresses.get(accounts.get('hospital')!)!
  t.match(await did('channel', 'open', hospital, '--deposit', '2000.00', ...dir('hub')), { deposit_minor: '200000' })
  const listed = await tried('channel', 'list', ...dir('hub'))
  t.equal(listed.out.trim().split('\n').length, 4)
  t.match(listed.out, /50,000\.00/)
  const [mine] = (await tried('channel', 'list', '--json', ...dir('payer'))).out.trim().split('\n')
  const { channel } = JSON.parse(mine!) as { readonly channel: string }
  t.match(await did('channel', 'policy', channel.slice(0, 10), ...dir('hub')), { ppm: 100, base_minor: '1' })
  t.match(await did('channel', 'policy', channel, '--ppm', '500', ...dir('hub')), { ppm: 500, base_minor: '1' })
  t.equal((await tried('channel', 'close', 'ffff', ...dir('hub'))).code, 3)
})

t.test('a claim is invoiced, paid through the hub once, and proven', async (t) => {
  const create = ['invoice', 'create', '--amount', '1241.22', '--reference', 'claim 7', ...dir('hospital')]
  const { invoice, key } = (await did(...create)) as { readonly invoice: string; readonly key: string }
  t.match(key, /^cli-/)
  const shown = await run(['invoice', 'show', invoice])
  t.match(shown.out, /amount\s+1,241\.22/)
  t.match(shown.out, /through\s+0[23]/)
  t.match((await run(['invoice', 'show', `${invoice}q`])).code, 3)
  t.match((await tried('pay', invoice, '--quote', ...dir('payer'))).out, /^1,241\.22 fee 0\.14 hops 2$/m)

  const pay = ['pay', invoice, ...dir('payer')]
  t.equal((await tried(...pay, '--receipt', at('payer', 'r.json'))).code, 2, 'a receipt names the amount: not in --dir')
  t.equal((await tried(...pay, '--receipt', at('passphrase'))).code, 2, 'no file of another kind is overwritten')
  const paid = await tried(...pay, '--receipt', at('receipt.json'))
  t.match(paid.out, /^succeeded 1,241\.22 fee 0\.14 hops 2 \d+ ms receipt .*receipt\.json$/m, paid.err)
  t.equal(paid.code, 0)
  t.equal(statSync(at('receipt.json')).mode & 0o777, 0o600)
  t.match(await did(...pay, '--receipt', at('receipt.json')), { status: 'succeeded', fee_minor: '14' })
  const other = await tried(...pay, '--key', 'another', '--receipt', at('other.json'))
  t.same([other.code, /invoice_paid/.test(other.err), existsSync(at('other.json'))], [3, true, false])

  const verify = ['receipt', 'verify', at('receipt.json')]
  t.match((await run([...verify, '--payee', accounts.get('hospital')!, '--ledger', ledgerId])).out, /PAID\s+1,241\.22/)
  t.equal((await run([...verify, '--payee', accounts.get('hub')!])).code, 1)
  writeFileSync(
    at('forged.json'),
    readFileSync(at('receipt.json'), 'utf8').replace(/"scalar": ".{4}/, '"scalar": "0000'),
  )
  t.equal((await run(['receipt', 'verify', at('forged.json')])).code, 1)

  const large = (await did(...create.with(3, '60000.00')))['invoice'] as string
  const failed = await tried('pay', large, '--receipt', at('large.json'), ...dir('payer'))
  t.equal(failed.code, 3)
  t.match(failed.out, /^failed \w+/)
  t.match(failed.err, /Nothing was paid/)
})

t.test('channels close, balances settle, the regulator agrees', async (t) => {
  const [line] = (await tried('channel', 'list', '--json', ...dir('payer'))).out.trim().split('\n')
  const { channel } = JSON.parse(line!) as { readonly channel: string }
  t.match(await did('channel', 'close', channel, ...dir('payer')), { closed: true })
  for (const mine of (await tried('channel', 'list', '--json', ...dir('hospital'))).out.trim().split('\n')) {
    const { channel } = JSON.parse(mine) as { readonly channel: string }
    await did('channel', 'close', channel, ...dir('hospital'))
  }
  t.match(await did('account', 'show', ...dir('payer')), { available_minor: '4999000', pending_open_minor: '4875864' })
  const audit = ['audit', ...dir('regulator'), '--genesis', at('ledger', 'genesis.cbor'), '--ledger', ledgerUrl]
  const verdict = await did(...audit)
  t.match(verdict, { verdict: 'CONSISTENT', minted_minor: '12000000', locked_minor: '0', redeemed_minor: '50' })
})

t.test('a stop leaves no lock and no token; what was paid is known to the next start', async (t) => {
  t.equal(await payerProcess.stop('SIGTERM'), 0)
  for (const name of ['payer', 'hospital']) {
    t.notOk(existsSync(at(name, 'api.json')))
    const log = readFileSync(at(name, 'node.log'), 'utf8')
    t.ok(log.length > 0 && !/124122|1241\.22|correct horse/.test(log))
  }
  const again = await started('start', ...dir('payer'))
  t.match(again.lines[0], { account: accounts.get('payer'), channels: 0 })
  t.equal(await again.process.stop('SIGINT'), 0)
  t.same(
    readdirSync(at('payer')).filter((name) => /tmp|api/.test(name)),
    [],
  )
})
