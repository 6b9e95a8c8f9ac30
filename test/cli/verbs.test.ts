/** The verbs by hand, the first of each kind and whatever serves as processes: from an empty directory to a paid and settled claim, and an audit. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { LIMITS } from '../../src/base/limits.js'
import { ROOT } from '../../src/base/root.js'
import { CONFIG } from '../../src/cli/config-table.js'
import { EXIT } from '../../src/cli/exit.js'
import { outcome, type Running, Shell } from './cli.js'

const shell = new Shell(t.testdir(), true)
t.teardown(shell.end)
const { at, dir, did, tried, started } = shell
const accounts = new Map<string, string>()
const addresses = new Map<string, string>()
let ledgerUrl = ''
let payerProcess: Running
let hospitalProcess: Running
let hubProcess: Running
let ledgerId = ''

t.test('genesis, ledger, nodes', async (t) => {
  const init = async (name: string, role: string, ...more: string[]) => {
    const made = await did('init', ...dir(name), '--role', role, ...more)
    accounts.set(name, made['account'] as string)
  }
  const { url, id, genesis } = await shell.found()
  ledgerUrl = url
  await Promise.all([
    init('hub', 'hub', ...genesis),
    init('branch', 'hub', ...genesis),
    init('hospital', 'participant', ...genesis),
    init('payer', 'participant', ...genesis),
  ])
  ledgerId = id
  const stopped = await tried('account', 'show', ...dir('payer'))
  t.equal(stopped.code, 4)
  t.match(stopped.err, /meridian start --dir/)

  const [both, hub] = await Promise.all([
    started('start', ...dir('hospital'), ...dir('payer')),
    started(
      'hub',
      ...dir('hub'),
      ...dir('branch'),
      '--inbound-max',
      '5000.00',
      '--fee-base',
      '0.01',
      '--fee-ppm',
      '100',
    ),
    started('start', ...dir('issuer'), ...genesis),
  ])
  payerProcess = both.process
  hubProcess = hub.process
  t.equal(both.lines.length, 3, 'two nodes in one process, and READY')
  for (const line of [...both.lines, ...hub.lines]) {
    if (typeof line['account'] === 'string') addresses.set(line['account'], line['address'] as string)
  }
  t.equal(statSync(at('hub', 'api.json')).mode & 0o777, 0o600)
  const forwards = { forwarding: true, channels: 0 }
  t.match(hub.lines, [
    { ...forwards, account: accounts.get('hub') },
    { ...forwards, account: accounts.get('branch') },
    {},
  ])
  t.equal((await tried('channel', 'list', ...dir('branch'))).code, 0, 'each directory has its own API')
  const shared = await tried('hub', ...dir('hub'), ...dir('branch'), '--announce', 'ws://hub.example:1')
  t.same([shared.code, /are for one node/.test(shared.err)], [2, true])
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
  const shown = await outcome(['invoice', 'show', invoice])
  t.match(shown.out, /amount\s+1,241\.22/)
  t.match(shown.out, /through\s+0[23]/)
  t.match((await outcome(['invoice', 'show', `${invoice}q`])).code, 3)
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
  t.match(
    (await outcome([...verify, '--payee', accounts.get('hospital')!, '--ledger', ledgerId])).out,
    /PAID\s+1,241\.22/,
  )
  t.equal((await outcome([...verify, '--payee', accounts.get('hub')!])).code, 1)
  writeFileSync(
    at('forged.json'),
    readFileSync(at('receipt.json'), 'utf8').replace(/"scalar": ".{4}/, '"scalar": "0000'),
  )
  t.equal((await outcome(['receipt', 'verify', at('forged.json')])).code, 1)

  const large = (await did(...create.with(3, '60000.00')))['invoice'] as string
  const failed = await tried('pay', large, '--receipt', at('large.json'), ...dir('payer'))
  t.equal(failed.code, 3)
  t.match(failed.out, /^failed \w+/)
  t.match(failed.err, /Nothing was paid/)
})

t.test('a second signal ends the process at once, and nothing that was answered is lost', async (t) => {
  const create = ['invoice', 'create', '--reference', 'claim 8', ...dir('hospital'), '--amount']
  const invoice = (await did(...create, '3.00'))['invoice'] as string
  const pay = ['pay', invoice, '--receipt', at('second.json'), ...dir('payer')]
  t.match(await did(...pay), { status: 'succeeded' })
  hubProcess.child.kill('SIGSTOP') // the drain waits for a peer that does not answer
  const { child } = payerProcess
  const stopping = new Promise((resolve) => {
    child.stderr.on('data', (text: Buffer) => text.includes('a second signal ends at once') && resolve(undefined))
  })
  child.kill('SIGINT')
  await stopping
  t.equal(await payerProcess.stop('SIGTERM'), null, 'ended by the signal')
  hubProcess.child.kill('SIGCONT')
  payerProcess = (await started('start', ...dir('hospital'), ...dir('payer'))).process
  t.match(await did(...pay), { status: 'succeeded' }, 'the same payment')
  const { balance_minor } = await did('channel', 'list', ...dir('payer'))
  t.equal(balance_minor, String(5_000_000 - 124_136 - 302), 'once')
})

t.test('money back by reference: no more than was paid, by whoever paid, once', async (t) => {
  const { invoice: claim } = JSON.parse(readFileSync(at('receipt.json'), 'utf8')) as { readonly invoice: string }
  const asks = (amount: string, of: string, name = 'payer') =>
    ['invoice', 'create', '--amount', amount, '--refund-of', of, ...dir(name)] as const
  const refused = async (...args: readonly string[]) => {
    const { code, err } = await tried(...args)
    return [code, /^meridian: (\w+)/m.exec(err)?.[1]]
  }
  t.same(await refused(...asks('1241.23', claim)), [3, 'refund_above_original'])
  const { invoice, id } = (await did(...asks('200.00', claim))) as { readonly invoice: string; readonly id: string }
  t.match((await outcome(['invoice', 'show', invoice])).out, /reference\s+claim 7\n(.*\n)*.*refund of/)
  t.same(await refused(...asks('1041.23', claim)), [3, 'refund_above_original'], 'in sum')
  t.same(await refused(...asks('1.00', claim, 'hub')), [3, 'refund_unknown'], 'not by a stranger')
  t.same(await refused(...asks('1.00', id)), [3, 'refund_unknown'], 'not of a refund')
  const pay = ['pay', invoice, '--receipt', at('refund.json'), ...dir('hospital')]
  t.match(await did(...pay), { status: 'succeeded', amount_minor: '20000' })
  t.match(await did(...pay), { status: 'succeeded' }, 'the same payment')
  t.same(await refused(...pay, '--key', 'once more'), [3, 'invoice_paid'])
  const { balance_minor } = await did('channel', 'list', ...dir('payer'))
  t.equal(balance_minor, String(5_000_000 - 124_136 - 302 + 20_000), 'once')
})

t.test('a token opens what it is for; a hub sees its movements add up', async (t) => {
  const make = ['token', 'create', '--scope', 'read,invoice', '--name', 'billing', ...dir('hub')]
  const made = await did(...make, '--out', at('hub.token'))
  t.same([made['scopes'], statSync(at('hub.token')).mode & 0o777], [['read', 'invoice'], 0o600])
  t.equal((await did(...make, '--out', at('hub.token')))['id'], made['id'], 'the same file, the same token')
  t.equal((await tried(...make, '--out', at('passphrase'))).code, 2)
  t.equal((await tried('token', 'create', '--scope', 'root', '--out', at('x'), ...dir('hub'))).code, 2)
  t.match((await tried('token', 'list', ...dir('hub'))).out, /billing\s+read,invoice/)
  t.match(await did('token', 'revoke', made['id'] as string, ...dir('hub')), { revoked: true })

  const exported = await did('account', 'export', '--csv', at('hub.csv'), '--archive', ...dir('hub'))
  const { cursor } = exported
  t.match(exported, { agrees: true, locks: 0, channels_minor: '700027', cursor: Number, archived: cursor })
  const rows = readFileSync(at('hub.csv'), 'utf8').trim().split('\n')
  t.equal(rows[0]?.split(',')[7], 'balance')
  t.equal(rows.at(-1)?.split(',')[7], '20000.27', 'minted and the fees')
  t.equal(statSync(at('hub.csv')).mode & 0o777, 0o600)
  t.equal((await tried('account', 'export', '--csv', at('hub.csv'), ...dir('hub'))).code, 2, 'not overwritten')
  t.equal((await tried('account', 'export', '--csv', at('hub', 'm.csv'), ...dir('hub'))).code, 2, 'not in --dir')
})

t.test('as its unit starts it: a stop drains, says what is left, and the next start takes it up', async (t) => {
  const text = readFileSync(new URL('packaging/meridian.service', ROOT), 'utf8')
  const unit = new Map(
    [...text.matchAll(/^([A-Z]\w+)=(.*)$/gm)].map(([, name = '', value = '']): [string, string] => [name, value]),
  )
  const [program, ...args] = unit.get('ExecStart')!.replace('/var/lib/meridian', at('payer')).split(' ')
  t.equal(program, '/usr/local/bin/meridian')
  t.match(unit.get('Environment'), /^MERIDIAN_PASSPHRASE_FILE=%d\/passphrase$/)
  t.same([unit.get('KillSignal'), unit.get('Restart'), unit.get('Type')], ['SIGTERM', 'on-failure', 'exec'])
  const fallback = CONFIG.drain_s.fallback
  t.ok(Number(unit.get('TimeoutStopSec')) > fallback + LIMITS.api_drain_ms / 1_000, 'it may drain before it is killed')
  const never = unit.get('RestartPreventExitStatus')!.split(' ').map(Number)
  t.same(never, [EXIT.usage], 'what heals by itself is started again: a disk, a ledger, a port')

  t.equal(await payerProcess.stop('SIGTERM'), 0)
  hospitalProcess = (await started('start', ...dir('hospital'))).process
  payerProcess = (await started(...args, '--set', 'drain_s=1')).process
  const create = ['invoice', 'create', '--reference', 'claim 9', ...dir('hospital'), '--amount', '1.00']
  const pay = ['pay', (await did(...create))['invoice'] as string, '--receipt', at('drained.json'), ...dir('payer')]
  while ((await did('channel', 'list', ...dir('payer')))['ready'] !== true);
  hospitalProcess.child.kill('SIGSTOP')
  t.equal((await tried(...pay, '--wait', '0')).code, EXIT.pending)
  let said = ''
  payerProcess.child.stderr.on('data', (data: Buffer) => {
    said += data.toString()
  })
  t.equal(await payerProcess.stop('SIGTERM'), EXIT.done)
  t.match(said, /waiting for 1 locks in 1 channels.*\n.*1 locks in 1 channels.* are left: safe on disk/)
  hospitalProcess.child.kill('SIGCONT')
  payerProcess = (await started(...args)).process
  t.match(await did(...pay), { status: 'succeeded', amount_minor: '100' }, 'the same payment')
  writeFileSync(
    at('payer', 'config.json'),
    readFileSync(at('payer', 'config.json'), 'utf8').replace('{', '{"drian_s":1,'),
  )
  t.equal((await tried(...args)).code, EXIT.usage)
  writeFileSync(
    at('payer', 'config.json'),
    readFileSync(at('payer', 'config.json'), 'utf8').replace('"drian_s":1,', ''),
  )
})

t.test('channels close, balances settle, the regulator agrees', async (t) => {
  const [line] = (await tried('channel', 'list', '--json', ...dir('payer'))).out.trim().split('\n')
  const { channel } = JSON.parse(line!) as { readonly channel: string }
  t.match(await did('channel', 'close', channel, ...dir('payer')), { closed: true })
  for (const mine of (await tried('channel', 'list', '--json', ...dir('hospital'))).out.trim().split('\n')) {
    const { channel } = JSON.parse(mine) as { readonly channel: string }
    await did('channel', 'close', channel, ...dir('hospital'))
  }
  t.match(await did('account', 'show', ...dir('payer')), { available_minor: '4999000', pending_open_minor: '4895460' })
  const audit = ['audit', ...dir('regulator'), '--genesis', at('ledger', 'genesis.cbor'), '--ledger', ledgerUrl]
  const verdict = await did(...audit)
  await Promise.all(
    ['payer', 'hospital'].map(async (name) => {
      const exported = await did('account', 'export', '--csv', at(`${name}.csv`), ...dir(name))
      t.match(exported, { agrees: true, channels_minor: '0' }, name)
    }),
  )
  const kinds = readFileSync(at('payer.csv'), 'utf8')
    .split('\n')
    .slice(1, -1)
    .map((row) => row.split(',').slice(1, 3).join(' '))
  t.same(kinds, [
    'mint 100000.00',
    'transfer -10.00',
    'deposit 0.00',
    'payment.succeeded -1241.22',
    'payment.fee -0.14',
    'payment.succeeded -3.00',
    'payment.fee -0.02',
    'invoice.paid 200.00',
    'payment.succeeded -1.00',
    'payment.fee -0.02',
    'close 0.00',
  ])
  t.match(verdict, { verdict: 'CONSISTENT', minted_minor: '12000000', locked_minor: '0', redeemed_minor: '50' })
})

t.test('a stop leaves no lock and no token; what was paid is known to the next start', async (t) => {
  t.same(await Promise.all([payerProcess.stop('SIGTERM'), hospitalProcess.stop('SIGTERM')]), [0, 0])
  for (const name of ['payer', 'hospital']) {
    t.notOk(existsSync(at(name, 'api.json')))
    const log = readFileSync(at(name, 'node.log'), 'utf8')
    t.ok(log.length > 0 && !/124122|1241\.22|correct horse/.test(log))
  }
  const nonsense = await tried('start', ...dir('payer'), '--announce', 'http://payer.example')
  t.same([nonsense.code, /announce/.test(nonsense.err)], [2, true], nonsense.err)
  const again = await started('start', ...dir('payer'), '--announce', 'ws://payer.example:9735')
  const address = `${accounts.get('payer')}@ws://payer.example:9735`
  t.match(again.lines[0], { account: accounts.get('payer'), channels: 0, address })
  t.equal(await again.process.stop('SIGINT'), 0)
  t.same(
    readdirSync(at('payer')).filter((name) => /tmp|api/.test(name)),
    [],
  )
})
