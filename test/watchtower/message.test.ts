/** The messages between a party and its tower: canonical, bounded, and receipts that bind every field. */
import t from 'tap'
import { bytesToHex } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import { LIMITS } from '../../src/base/limits.js'
import { receiptDigest, TOWER_REQUEST_TYPES, type TowerMessage, towerCodec } from '../../src/base/message/tower.js'
import { must, person } from '../wire/people.js'

const [alice, tower] = [person('alice'), person('tower')]
const channel = sha256(Uint8Array.of(1))
const secret = (n: number) => sha256(Uint8Array.of(2, n))
const signature = new Uint8Array(64) as never

t.test('the largest appointment fits a frame', (t) => {
  const state = new Uint8Array(LIMITS.tower_state_bytes)
  const list = Array.from({ length: LIMITS.tower_secrets_listed }, (_, n) => secret(n))
  const message: TowerMessage = {
    name: 'appointment',
    body: { channel, state, signatures: [signature, signature], secrets: { kind: 'list', from: 2 ** 47, list } },
  }
  t.same(must(towerCodec.decode(towerCodec.encode(message))), message)
  t.equal(TOWER_REQUEST_TYPES.appointment, 198)
  t.end()
})

t.test('a receipt says nothing else than was signed', (t) => {
  const parties = { ledger: sha256(Uint8Array.of(3)), tower: tower.account, client: alice.account }
  const body = { channel, version: 7, secrets: 6, height: 40, time: 1_000 }
  const digests = [
    receiptDigest(parties, body),
    receiptDigest({ ...parties, ledger: channel as never }, body),
    receiptDigest({ ...parties, tower: alice.account }, body),
    receiptDigest({ ...parties, client: tower.account }, body),
    receiptDigest(parties, { ...body, channel: secret(1) }),
    ...(['version', 'secrets', 'height', 'time'] as const).map((name) =>
      receiptDigest(parties, { ...body, [name]: 9 }),
    ),
  ]
  t.equal(new Set(digests.map(bytesToHex)).size, digests.length)
  t.end()
})
