/** What lies in a node's directory besides the store. */
import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MeridianError } from '../base/errors.js'
import { decodeGenesis, type Genesis } from '../base/genesis.js'
import { checkGenesis } from '../chain-adapter/contract/genesis.js'
import { need } from '../chain-adapter/need.js'
import { runCheck } from '../privacy/check.js'
import { openKeystore, type PassphraseSource, readPassphrase, type Secrets } from '../store/keystore.js'
import { type RegistrationRequest, zRegistrationRequest } from '../wallet/registration.js'
import { UsageError } from './exit.js'

export const filesOf = (dir: string) => ({
  keystore: join(dir, 'keystore'),
  genesis: join(dir, 'genesis.cbor'),
  config: join(dir, 'config.json'),
  /** {account, n, keyProof}: what the issuer and `genesis` ask for. Nothing in it is secret. */
  publicKey: join(dir, 'public.json'),
  /** Written at every start, removed at stop: address and token of the running node. */
  api: join(dir, 'api.json'),
})

/** Before anything is asked or made. @throws MeridianError `store_exists` */
export function mustBeNew(dir: string): void {
  if (existsSync(dir) && readdirSync(dir).length > 0) throw new MeridianError('store_exists', dir)
}

/** Bytes of a file that the command line names. @throws UsageError where it cannot be read */
export async function readInput(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${error instanceof Error && 'code' in error ? error.code : 'failed'}`)
  }
}

/** A genesis whose rules and key proofs hold (L1): checked once, before anybody joins. @throws MeridianError, UsageError */
export async function readGenesis(path: string): Promise<Genesis> {
  const genesis = need(decodeGenesis(await readInput(path)))
  need(checkGenesis(genesis, runCheck))
  return genesis
}

/** The genesis that `--genesis` names, else the directory's own. @throws UsageError where there is neither */
export async function genesisOf(dir: string, flag: string | undefined): Promise<Genesis> {
  const own = filesOf(dir).genesis
  if (flag === undefined && !existsSync(own)) throw new UsageError(`${dir} holds no genesis.cbor: give --genesis FILE`)
  return readGenesis(flag ?? own)
}

/** @throws UsageError */
export async function readPublicKey(path: string): Promise<RegistrationRequest> {
  const text = new TextDecoder().decode(await readInput(path))
  const request = zRegistrationRequest.safeParse(parseJson(path, text))
  if (!request.success) throw new UsageError(`${path} is no public.json of an init`)
  return request.data
}

/** The secrets alone: a running node may hold the directory's lock. @throws MeridianError with openKeystore's codes */
export async function readSecrets(dir: string, source: PassphraseSource): Promise<Secrets> {
  const passphrase = need(await readPassphrase(source))
  return need(await openKeystore(filesOf(dir).keystore, passphrase))
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UsageError(`${path} is no JSON`) // the parser's message quotes the file
  }
}
