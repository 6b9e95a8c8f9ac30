/** Running nodes with their API, over an in-process ledger, each in a directory of its own. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readApiFile } from '../../src/api/api-file.js'
import { ApiClient } from '../../src/api/client.js'
import { type Api, type ApiOptions, startApi } from '../../src/api/server.js'
import { utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import { MeridianError } from '../../src/base/errors.js'
import { inProcessAdapter } from '../../src/chain-adapter/embedded/in-process.js'
import type { Ledger } from '../../src/chain-adapter/embedded/ledger.js'
import { defaultConfig, type NodeConfig } from '../../src/node/config.js'
import { Node } from '../../src/node/node.js'
import type { ProofPool } from '../../src/privacy/pool.js'
import { createDirectory, openDirectory } from '../../src/store/directory.js'
import { silent } from '../../src/wire/environment.js'
import { must } from '../chain-adapter/fixtures.js'

/** The code of a refusal, or ok. */
export const refusal = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'ok',
    (error: unknown) => (error instanceof MeridianError ? error.code : `not ours: ${error}`),
  )

export interface Hosted {
  readonly dir: string
  readonly node: Node
  readonly api: Api
  readonly client: ApiClient
  readonly token: string
  /** Raw: whatever headers and body the test wants. */
  call(method: string, path: string, headers?: Record<string, string>, body?: string | Uint8Array): Promise<Response>
  /** A write as a well-behaved client makes it. */
  post(path: string, key: string, body: unknown): Promise<Response>
  close(): Promise<void>
}

export class Nodes {
  readonly #passphrase: string

  constructor(
    private readonly root: string,
    private readonly ledger: Ledger,
    private readonly pool: ProofPool,
  ) {
    this.#passphrase = join(root, 'passphrase')
    writeFileSync(this.#passphrase, 'a passphrase of tests\n')
  }

  /** The keys are those of `People` of the same name. */
  async create(name: string): Promise<string> {
    const dir = join(this.root, name)
    const seed = sha256(utf8(`meridian test person ${name}`))
    await must(await createDirectory(dir, this.#passphrase, { test: true, seed })).close()
    return dir
  }

  async start(dir: string, config: Partial<NodeConfig> = {}, options: Partial<ApiOptions> = {}): Promise<Hosted> {
    const directory = must(await openDirectory(dir, this.#passphrase))
    const chain = inProcessAdapter(this.ledger)
    const all = { ...defaultConfig(chain.genesis.amountBits), listen: { host: '127.0.0.1', port: 0 }, ...config }
    const node = await Node.open({ directory, chain, pool: this.pool, config: all, logger: silent })
    must(await node.start())
    const api = await startApi({ node, dir, logger: silent, ...options })
    const { token } = (await readApiFile(dir))!
    const authorization = `Bearer ${token}`
    return {
      dir,
      node,
      api,
      token,
      client: new ApiClient({ url: api.url, token }),
      call: (method, path, headers = {}, body) =>
        fetch(`${api.url}${path}`, {
          method,
          headers: { authorization, ...headers },
          ...(body === undefined ? {} : { body }),
        }),
      post: (path, key, body) =>
        fetch(`${api.url}${path}`, {
          method: 'POST',
          headers: { authorization, 'content-type': 'application/json', 'idempotency-key': key },
          body: JSON.stringify(body),
        }),
      async close() {
        await api.close()
        await node.stop()
        await chain.close()
        await directory.close()
      },
    }
  }
}
