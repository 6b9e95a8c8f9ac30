/** A worker thread of the pool: answers one request after the other; private keys live here by their number. */
import { isMainThread, type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { useBank } from '../base/counters.js'
import { InvariantError, invariant } from '../base/errors.js'
import { runCheck } from './check.js'
import { proveKey } from './key-proof.js'
import {
  decrypt,
  encodeModulus,
  encrypt,
  encryptOwn,
  exportPrivateKey,
  forgetPrivateKey,
  importPrivateKey,
  type PrivateKey,
  type PublicKey,
  privateKeyFromSeed,
  publicKey,
  randomizer,
  randomizerOwn,
  rootOfRollover,
} from './paillier.js'
import type { JobName, Jobs, Reply, Request } from './pool-jobs.js'
import { prove, proving, verifying } from './proof.js'
import { Abandoned, together } from './together.js'

const opened = new Map<number, PrivateKey>()

function keyOf(id: number): PrivateKey {
  const key = opened.get(id)
  invariant(key !== undefined, 'P8', 'no private key is open under this number')
  return key
}

const ownKey = (id: number | undefined): PrivateKey | undefined => (id === undefined ? undefined : keyOf(id))

function publicKeyOf(n: Uint8Array): PublicKey {
  const key = publicKey(n)
  invariant(key.ok, 'P2', 'the modulus is not a registered one')
  return key.value
}

const handlers: {
  readonly [Name in JobName]: (input: Jobs[Name]['input']) => Jobs[Name]['output'] | Promise<Jobs[Name]['output']>
} = {
  verify: ({ check }) => runCheck(check),
  verifyShared: ({ check, share, port }) => together(() => verifying(check.statement, check.proof, share), share, port),
  prove: ({ statement, witness, entropy, key }) => prove(statement, witness, entropy, ownKey(key)),
  proveShared: ({ statement, witness, entropy, key, share, port }) =>
    together(() => proving(statement, witness, entropy, ownKey(key), share), share, port),
  encrypt: ({ n, value, s }) => encrypt(publicKeyOf(n), value, s),
  randomizer: ({ n, s }) => randomizer(publicKeyOf(n), s),
  privateKeyFromSeed: ({ seed, bits }) => exportPrivateKey(privateKeyFromSeed(seed, bits)),
  openKey({ key, exported }) {
    const privateKey = importPrivateKey(exported)
    opened.set(key, privateKey)
    return encodeModulus(privateKey.publicKey)
  },
  closeKey({ key }) {
    const closed = opened.get(key)
    if (closed !== undefined) forgetPrivateKey(closed)
    opened.delete(key)
    return null
  },
  encryptOwn: ({ key, value, s }) => encryptOwn(keyOf(key), value, s),
  randomizerOwn: ({ key, s }) => randomizerOwn(keyOf(key), s),
  decrypt: ({ key, ciphertext }) => decrypt(keyOf(key), ciphertext),
  rootOfRollover: ({ key, product, fresh }) => rootOfRollover(keyOf(key), product, fresh),
  proveKey: ({ key, account }) => proveKey(keyOf(key), account),
}

async function answer<Name extends JobName>({ id, name, input }: Request<Name>): Promise<Reply> {
  try {
    return { id, value: await handlers[name](input) }
  } catch (error) {
    if (error instanceof Abandoned) return { id, abandoned: true }
    // The pool rejects the job with these words. An unknown error's message may quote an input: its name must do.
    const failed = error instanceof InvariantError ? error.message : error instanceof Error ? error.name : 'unknown'
    return { id, failed }
  }
}

/** One after the other, in the order in which they were asked, also where a shared job waits for the other thread. */
function serve(port: MessagePort): void {
  let last = Promise.resolve()
  port.on('message', (request: Request) => {
    last = last.then(async () => port.postMessage(await answer(request)))
  })
}

invariant(!isMainThread && parentPort !== null, 'P8', 'this module runs in a worker thread only')
useBank(workerData as SharedArrayBuffer)
serve(parentPort)
