/** The command line by hand, from separate processes where that matters: init, genesis, ledger, audit (PRODUCT.md). */

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { ledgerIdOf } from '../../src/base/genesis.js'
import { parseAccountId } from '../../src/base/ids.js'
import { ROOT } from '../../src/base/root.js'
import { connectLedger } from '../../src/chain-adapter/remote/client.js'
import { moreSettings, readConfig } from '../../src/cli/config.js'
import { CONFIG, type ConfigFile } from '../../src/cli/config-table.js'
import { readGenesis, readSecrets } from '../../src/cli/directory.js'
import { EXIT, exitCodeOf } from '../../src/cli/exit.js'
import { configOf } from '../../src/cli/hosted-node.js'
import { nearestName } from '../../src/cli/nearest.js'
import { openNodeLog } from '../../src/cli/node-log.js'
import { group, type verb } from '../../src/cli/verb.js'
import { loadVerbs } from '../../src/cli/verbs/index.js'
import { createPool } from '../../src/privacy/pool.js'
import { memoryStore } from '../../src/store/memory.js'
import { openAccountKeys } from '../../src/wallet/keys.js'
import { admit, register, registrationRequest } from '../../src/wallet/registration.js'
import { Wallet } from '../../src/wallet/wallet.js'
import { must } from '../chain-adapter/fixtures.js'
import { outcome, type Running, run, serve } from './cli.js'

const home = t.testdir({ 'pass.txt': 'correct horse\n', 'wrong.txt': 'battery staple\n' })
const at = (...names: string[]) => join(home, ...names)
const env = { MERIDIAN_PASSPHRASE_FILE: at('pass.txt') }
const json = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

t.test('help and version of everything', async (t) => {
  const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
    version: string
  }
  t.same(await run(['--version']), { code: 0, out: `${version}\n`, err: '' })
  const help = await run(['--help'])
  t.equal(help.code, 0)
  for (const name of ['init', 'genesis', 'ledger', 'audit']) t.match(help.out, new RegExp(`^  ${name} `, 'm'))
  for (const name of ['init', 'audit']) {
    t.match(await outcome([name, '--version']), { code: 0, out: version, err: '' }, name)
    t.match(await outcome([name, '--help']), { code: 0, out: `Usage: meridian ${name}`, err: '' }, name)
  }
})

t.test('every verb and sub-verb has its own --help and --version and throws where commander would exit', async (t) => {
  const seen: string[] = []
  const visit = (command: ReturnType<typeof verb>, path: string): void => {
    seen.push(path)
    const exitOf = (flag: string) => {
      let written = ''
      command.configureOutput({
        writeOut: (text) => {
          written += text
        },
      })
      try {
        command.parse([flag], { from: 'user' })
      } catch (error) {
        return `${(error as { exitCode?: number }).exitCode} ${written.length > 0}`
      }
      return 'ran'
    }
    t.equal(exitOf('--help'), '0 true', `${path} --help`)
    t.equal(exitOf('--version'), '0 true', `${path} --version`)
    for (const child of command.commands) visit(child, `${path} ${child.name()}`)
  }
  visit(group('meridian', 'test', await loadVerbs(undefined)), 'meridian')
  t.ok(seen.includes('meridian audit'))
})

t.test('usage errors', async (t) => {
  const cases: [string[], RegExp][] = [
    [[], /a verb is missing/],
    [['nothing'], /unknown command 'nothing'/],
    [['init'], /--role <role>' not specified/],
    [['init', '--role', 'bank'], /Allowed choices are participant, hub, tower, issuer, regulator/],
    [['init', '--role', 'hub'], /a hub needs --genesis FILE/],
    [['init', '--role', 'issuer', '--key-bits', '1024'], /add --test/],
    [['init', '--role', 'issuer', '--key-bits', '2047'], /2048 or 3072/],
    [['ledger', '--port', '70000'], /from 0 to 65535/],
    [['ledger', '--bloc-ms', '3'], /Did you mean --block-ms/],
    [['audit', '--head', 'abc'], /64 hexadecimal digits/],
    [['genesis', '--issuer', at('absent'), '--regulator', at('absent')], /cannot read .*absent: ENOENT/],
  ]
  for (const [args, message] of cases) {
    const text = await (args.length === 0 ? run : outcome)(args, env)
    t.match(text, { code: 2, err: message }, args.join(' '))
    t.notMatch(text.err, /at .*\.js:/, 'no stack')
  }
  const asJson = await outcome(['audit', '--head', 'abc', '--json'])
  t.match(json(asJson.err), [{ error: 'usage', message: /64 hexadecimal digits/ }])
  const silent = await outcome(['init', '--role', 'issuer', '--dir', at('silent')])
  t.match(silent, { code: 2, err: /--passphrase-file FILE or set MERIDIAN_PASSPHRASE_FILE/ })
  t.notOk(existsSync(at('silent')), 'nothing was made')
})

/** A ledger made by hand, served by its own process. */
async function found(): Promise<{ readonly url: string; readonly ledger: Running }> {
  for (const role of ['issuer', 'regulator']) {
    const made = await outcome(
      ['init', '--dir', at(role), '--role', role, '--test', '--key-bits', '1024', '--json'],
      env,
    )
    t.match(made, { code: 0, err: '' }, `init ${role}`)
    const [printed] = json(made.out)
    t.match(printed, { role, key_bits: 1024, ledger: null, back_up: [at(role, 'keystore')] })
    t.ok(parseAccountId(String(printed?.['account'])).ok)
  }
  const keys = ['--issuer', at('issuer', 'public.json'), '--regulator', at('regulator', 'public.json')]
  t.match(await outcome(['genesis', '--dir', at('ledger'), ...keys], env), { code: 2, err: /add --test/ })
  const made = await outcome(['genesis', '--dir', at('ledger'), ...keys, '--test', '--window-min', '10'], env)
  t.match(made, { code: 0, out: /^ledger {6}[0-9a-f]{64} \(test\)$/m, err: '' })
  const ledger = serve(['ledger', '--dir', at('ledger'), '--port', '0', '--block-ms', '20'], env)
  const [, url] = /^READY (http:\/\/127\.0\.0\.1:\d+)$/.exec((await ledger.next()) ?? '') ?? []
  t.ok(url, 'READY comes first')
  return { url: url!, ledger }
}

/** Mints through the issuer's wallet, as `account mint` does. */
async function mintTo(url: string, amounts: readonly bigint[]): Promise<void> {
  const pool = createPool({ threads: 1 })
  const genesis = await readGenesis(at('ledger', 'genesis.cbor'))
  const chain = await connectLedger(url, ledgerIdOf(genesis))
  const wallet = async (name: string) => {
    const secrets = await readSecrets(at(name), at('pass.txt'))
    const keys = await openAccountKeys(secrets, genesis.keyBits, pool)
    return Wallet.open({ chain, pool, store: memoryStore(), keys, seed: secrets.walletSeed })
  }
  const [issuer, alice] = [await wallet('issuer'), await wallet('alice')]
  must(await register(alice, must(await admit(issuer, await registrationRequest(alice)))))
  for (const [i, value] of amounts.entries()) must(await issuer.mint(`mint ${i}`, alice.account, value as Amount))
  await chain.close()
  await pool.close()
}

t.test('a ledger by hand', async (t) => {
  const { url, ledger } = await found()
  const saved = ['backup', 'export', '--dir', at('regulator'), '--out', at('regulator.backup')]
  t.match(
    await outcome(saved, env),
    { code: 0, out: /^backup / },
    'a founder’s key is saved as init says, before any ledger',
  )
  const common = ['--genesis', at('ledger', 'genesis.cbor'), '--ledger', url]

  const made = await outcome(['init', '--dir', at('alice'), '--role', 'participant', ...common], env)
  t.match(made, { code: 0, out: /^Back up now, .*backup export/m })
  t.match(JSON.parse(readFileSync(at('alice', 'config.json'), 'utf8')), { role: 'participant', ledger: url })
  for (const name of ['keystore', 'config.json'])
    t.equal(statSync(at('alice', name)).mode & 0o077, 0, `${name} is private`)
  t.match(
    await outcome(['init', '--dir', at('alice'), '--role', 'participant', ...common, '--json'], env),
    { code: 3, out: '', err: /^\{"error":"store_exists","message":.*"action":"fix_request"\}\n$/ },
    'an existing directory is refused',
  )
  const keys = ['--issuer', at('issuer', 'public.json'), '--regulator', at('regulator', 'public.json'), '--test']
  t.match(await outcome(['genesis', '--dir', at('ledger'), ...keys], env), { code: 3, err: /store_exists/ })
  t.match(await outcome(['ledger', '--dir', at('ledger'), '--port', '0'], env), { code: 3, err: /store_locked/ })

  await mintTo(url, [124_122n, 1n])
  const blocks: string[] = []
  while (blocks.filter((line) => /transactions [1-9]/.test(line)).length < 3)
    blocks.push((await ledger.next()) ?? 'ended')
  t.match(blocks[0], /^ledger [0-9a-f]{64} block 0$/)
  t.match(blocks[1], /^block 1 {2}time \d+ {2}transactions \d+ {2}refused 0 {2}[0-9a-f]{64}$/)

  const audit = ['audit', '--dir', at('regulator'), ...common]
  const text = await run([...audit, '--from-genesis', '--csv', at('movements.csv')], env)
  t.match(text, { code: 0, out: /minted 1,241\.23 = held 1,241\.23 \+ locked 0\.00 \+ redeemed 0\.00/ })
  t.match(text.out, /^CONSISTENT$/m)
  const csv = readFileSync(at('movements.csv'), 'utf8').split('\n')
  t.equal(csv[0], 'block,time,transaction,kind,from,to,channel,amount')
  t.match(csv[1], /^\d+,\d+,0,mint,,0[23][0-9a-f]{64},,1241\.22$/)
  t.match(csv[2], /,0\.01$/)
  t.equal(statSync(at('movements.csv')).mode & 0o077, 0)
  t.match(await outcome([...audit, '--csv', at('movements.csv')], env), { code: 2, err: /not overwritten/ })
  t.match(await outcome([...audit, '--csv', at('regulator', 'm.csv')], env), { code: 2, err: /keep it elsewhere/ })

  const asJson = await outcome([...audit, '--json'], env)
  t.match(json(asJson.out).at(-1), { type: 'audit', verdict: 'CONSISTENT', minted_minor: '124123', findings: 0 })
  const head = String(json(asJson.out).at(-1)?.['head'])
  t.match(await outcome([...audit, '--head', head], env), { code: 0 })
  const other = await run([...audit, '--json', '--head', '00'.repeat(32)], env)
  t.match(other, { code: 1, err: /^\{"error":"check_failed"/ })
  t.match(json(other.out)[0], { type: 'finding', code: 'audit_pinned' })

  const wrong = { MERIDIAN_PASSPHRASE_FILE: at('wrong.txt') }
  t.match(await outcome(audit, wrong), { code: 3, err: /keystore_refused/ })
  t.match(await outcome([...audit, '--passphrase-file', at('pass.txt')], wrong), { code: 0 }, 'the flag is stronger')
  t.match(await outcome(['audit', '--dir', at('alice')], env), { code: 3, err: /not_regulator/ })
  t.match(await outcome(['audit', '--dir', at('nobody')], env), { code: 3, err: /keystore_missing/ })

  await t.test('Ctrl-C', async (t) => {
    t.equal(await ledger.stop('SIGINT'), 0)
    const again = serve(['ledger', '--dir', at('ledger'), '--port', '0', '--manual-clock', '--json'], env)
    t.match(json((await again.next()) ?? ''), [{ ready: /^http/, ledger: /^[0-9a-f]{64}$/ }], 'no lock was left')
    t.equal(await again.stop('SIGTERM'), 0)
    t.throws(() => process.kill(again.child.pid!, 0), { code: 'ESRCH' }, 'no process was left')
  })
})

t.test('a passphrase never lies beside what it opens', async (t) => {
  writeFileSync(at('issuer', 'p.txt'), 'x')
  const inside = ['init', '--role', 'issuer', '--dir', at('issuer2')]
  t.match(await outcome([...inside, '--passphrase-file', at('issuer2', 'p.txt')]), {
    code: 2,
    err: /keep it elsewhere/,
  })
  t.match(await outcome([...inside, '--passphrase-file', at('none.txt')]), { code: 3, err: /passphrase_missing/ })
})

t.test('configuration: flag, environment, file, default; strict', async (t) => {
  const write = (config: unknown) => writeFileSync(at('alice', 'config.json'), JSON.stringify(config))
  const ledger = 'http://127.0.0.1:1'
  write({ role: 'hub', ledger, api_port: 5 })
  t.match(await readConfig(at('alice')), { role: 'hub', ledger, listen: '127.0.0.1:0', api_port: 5 })
  process.env['MERIDIAN_API_PORT'] = '6'
  t.match(await readConfig(at('alice')), { api_port: 6 })
  t.match(await readConfig(at('alice'), { api_port: 7 }), { api_port: 7 })
  process.env['MERIDIAN_API_PORT'] = 'six'
  await t.rejects(readConfig(at('alice')), { message: /^MERIDIAN_API_PORT/ })
  delete process.env['MERIDIAN_API_PORT']
  const refusals: [unknown, RegExp][] = [
    [{ role: 'hub', ledger, listn: 'x' }, /unknown key "listn", did you mean "listen"\?/],
    [{ role: 'hub', ledger, zebra: 1 }, /unknown key "zebra"; known are role, ledger, listen, /],
    [{ role: 'bank', ledger }, /"role"/],
    [{ role: 'hub', ledger: 'ftp://x' }, /an address such as/],
    [{ role: 'hub' }, /has no "ledger"/],
    [{ role: 'hub', ledger, listen: '127.0.0.1:65536' }, /"listen"/],
    [{ role: 'hub', ledger, announce: 'ws://hub.example:65536' }, /"announce"/],
    [{ role: 'hub', ledger, api_port: 65_536 }, /"api_port"/],
    [[], /no JSON object/],
  ]
  for (const [config, message] of refusals) {
    write(config)
    const error: unknown = await readConfig(at('alice')).catch((error: unknown) => error)
    t.match(error, { message })
    t.equal(exitCodeOf(error), EXIT.usage)
  }
  for (const [name, { purpose, bounds, fallback, schema }] of Object.entries(CONFIG)) {
    t.ok(purpose.length > 15 && bounds.length > 2, name)
    if (fallback !== undefined) t.ok(schema.safeParse(fallback).success, `${name}: its default is a value of it`)
  }
  write({ role: 'hub', ledger })
  const strange = (variables: Record<string, string>) => readConfig(at('alice'), {}, variables)
  await t.rejects(strange({ MERIDIAN_LISTN: 'x' }), { message: /did you mean MERIDIAN_LISTEN\?/ })
  await t.rejects(strange({ MERIDIAN_PASSPHRASE: 'x' }), { message: /MERIDIAN_PASSPHRASE_FILE/ })
  t.match(await strange({ MERIDIAN_SHIM_DIR: 'x', MERIDIAN_TOWER_DERIVED_JOBS: 'true', HOME: '/' }), {
    tower_derived_jobs: true,
  })
  t.same(moreSettings('drain_s=5', moreSettings('log_file=-')), { log_file: '-', drain_s: '5' })
  t.throws(() => moreSettings('drian_s=5'), { message: /drain_s/ })
  t.match(await readConfig(at('alice'), moreSettings('drain_s=5')), { drain_s: 5 })
  write({ role: 'hub', ledger })
  const unwritable = ['start', '--dir', at('alice'), '--set', `log_file=${at('nowhere', 'x.log')}`]
  t.match(await outcome(unwritable, env), { code: EXIT.refused, err: /^meridian: ENOENT/ }, 'said before anything runs')
  if (existsSync('/dev/full')) {
    const log = openNodeLog(home, { log_level: 'info', log_file: '/dev/full' })
    log.info('a line', { that: 'finds no room' })
    await log.close() // it ends, and what failed ended nothing else
  }
  const made = async (flags: ConfigFile) => configOf(await readConfig(at('alice'), flags), { amountBits: 48 }, false)
  t.match(await made({}), { forwarding: true, announceChannels: true })
  t.match(await made({ announce_channels: false }), { announceChannels: false })
  t.equal(nearestName('ledgre', ['role', 'ledger']), 'ledger')
})

t.test('a port in use is a refusal, not a bug', async (t) => {
  const first = serve(['ledger', '--dir', at('ledger'), '--port', '0', '--json'], env)
  const [ready] = json((await first.next()) ?? '')
  const port = new URL(String(ready?.['ready'])).port
  const keys = ['--issuer', at('issuer', 'public.json'), '--regulator', at('regulator', 'public.json'), '--test']
  await outcome(['genesis', '--dir', at('second'), ...keys], env)
  t.match(await outcome(['ledger', '--dir', at('second'), '--port', port], env), { code: 3, err: /EADDRINUSE/ })
  t.equal(await first.stop(), 0)
})
