/** R3: what this node owes on a lock that was offered to it. */
import fc from 'fast-check'
import t from 'tap'
import { bytesToHex } from '../../src/base/bytes.js'
import { curve, type Point, type Scalar, scalarFromBigint } from '../../src/base/curve/index.js'
import { decodeFailure, encodeFailure } from '../../src/router/failure.js'
import {
  ACCEPTS,
  claimObligation,
  failObligation,
  offerObligation,
  stepObligation,
  unreadableObligation,
} from '../../src/router/obligation.js'
import { decodeObligation, encodeObligation, type Obligation } from '../../src/router/obligation-record.js'
import { hopScalar, type SharedSecret } from '../../src/router/onion/crypto.js'
import { createFailure, FAILURE_BYTES, readFailure, UNREADABLE } from '../../src/router/onion/failure.js'
import { opens, scalarUpstream } from '../../src/router/point-lock.js'
import { routeKeys } from '../../src/router/route.js'
import { bob, carol, cents, must, policy, session, toBob, toCarol } from './support.js'

const s = (value: bigint) => scalarFromBigint(value)!
const [SECRET] = routeKeys(session(7), [bob.account, carol.account]).secrets as [SharedSecret, SharedSecret]
const HELD = { channel: toBob, id: 3 }
const OUT = { channel: toCarol, id: 9 }
const begin = () => offerObligation(HELD, OUT, SECRET, cents(18)).obligation

/** Through the codec at every step: the record is all there is. */
const step = (obligation: Obligation, event: Parameters<typeof stepObligation>[1]) =>
  stepObligation(must(decodeObligation(encodeObligation(obligation))), event)

t.test('R3: a downstream claim or reveal obliges to claim upstream with y added', (t) => {
  const scalar = s(77n)
  const claimed = step(begin(), { kind: 'outgoingClaimed', scalar })
  const expected = scalarUpstream(scalar, hopScalar(SECRET))
  t.same(claimed.effects, [{ kind: 'claim', lock: HELD, scalar: expected }])
  t.ok(opens(curve.addBase(curve.multiplyBase(scalar), hopScalar(SECRET)) as Point, expected))
  t.same(step(claimed.obligation, { kind: 'outgoingClaimed', scalar }).effects, [], 'a repetition')
  t.same(step(claimed.obligation, { kind: 'outgoingReturned', reason: UNREADABLE }).effects, [], 'no way back')
  t.same(step(claimed.obligation, { kind: 'resume' }).effects, claimed.effects, 'said again after a start')
  const done = step(claimed.obligation, { kind: 'incomingSettled' })
  t.same(done.effects, [{ kind: 'ended', lock: HELD, outcome: 'claimed', fee: 18n }])
  t.same(step(done.obligation, { kind: 'resume' }).effects, [])
  const lost = step(claimed.obligation, { kind: 'incomingReturned' })
  t.match(lost.effects, [{ kind: 'ended', outcome: 'lost', fee: 0n }])
  const early = step(begin(), { kind: 'incomingSettled' })
  t.match(early.effects, [{ kind: 'ended', outcome: 'claimed', fee: 18n }], 'somebody else revealed our scalar')
  t.end()
})

t.test('R3: upstream is released only by an end of the outgoing lock, with a failure only the payer reads', (t) => {
  const { secrets } = routeKeys(session(7), [bob.account, carol.account])
  const read = (packet: Uint8Array) => {
    const found = readFailure(secrets, packet, 20)
    return found && { hop: found.hop, code: decodeFailure(found.message)?.code }
  }
  const carols = createFailure(secrets[1]!, encodeFailure({ code: 'payment_details_wrong', policy: null }))
  const cases = [
    [
      { kind: 'outgoingReturned', reason: carols },
      { hop: 1, code: 'payment_details_wrong' },
    ],
    [
      { kind: 'outgoingReturned', reason: UNREADABLE },
      { hop: 0, code: 'onion_unreadable' },
    ],
    [
      { kind: 'outgoingReturned', reason: new Uint8Array(7) },
      { hop: 0, code: 'temporary_failure' },
    ],
    [{ kind: 'outgoingDead' }, { hop: 0, code: 'lock_expired' }],
    [
      { kind: 'outgoingVoid', code: 'proposal_void' },
      { hop: 0, code: 'temporary_failure' },
    ],
    [
      { kind: 'outgoingVoid', code: 'balance_too_low' },
      { hop: 0, code: 'temporary_failure' },
    ],
  ] as const
  for (const [event, expected] of cases) {
    const released = step(begin(), event)
    const effect = released.effects[0]
    t.equal(effect?.kind, 'release')
    if (effect?.kind !== 'release') continue
    t.equal(effect.reason.length, FAILURE_BYTES)
    t.same(read(effect.reason), expected, `${event.kind} ${expected.code}`)
    t.same(step(released.obligation, { kind: 'resume' }).effects, released.effects)
    t.same(step(released.obligation, { kind: 'outgoingClaimed', scalar: s(5n) }).effects, [], 'the end was decided')
    t.match(step(released.obligation, { kind: 'incomingReturned' }).effects, [{ kind: 'ended', outcome: 'released' }])
    t.match(step(released.obligation, { kind: 'incomingSettled' }).effects, [{ kind: 'ended', outcome: 'claimed' }])
  }
  const refused = failObligation({ incoming: HELD, secret: SECRET }, 'fee_too_small', policy)
  t.match(refused.effects, [{ kind: 'release', lock: HELD }])
  const reason = refused.obligation.phase === 'releasing' ? refused.obligation.reason : UNREADABLE
  t.same(decodeFailure(readFailure(secrets, reason, 20)!.message), { code: 'fee_too_small', policy })
  t.match(unreadableObligation(HELD).effects, [{ kind: 'release', reason: UNREADABLE }])
  t.end()
})

t.test('an obligation ends once whatever comes in whatever order, and any other event changes nothing', (t) => {
  const events = [
    { kind: 'outgoingClaimed', scalar: s(5n) },
    { kind: 'outgoingReturned', reason: UNREADABLE },
    { kind: 'outgoingDead' },
    { kind: 'outgoingVoid', code: 'unknown' },
    { kind: 'incomingSettled' },
    { kind: 'incomingReturned' },
    { kind: 'resume' },
  ] as const
  const starts = [begin(), claimObligation(HELD, s(5n) as Scalar).obligation, unreadableObligation(HELD).obligation]
  const property = fc.property(fc.constantFrom(...starts), fc.array(fc.constantFrom(...events)), (start, program) => {
    let state = start
    const owed: string[] = []
    let ends = 0
    for (const event of program) {
      const next = step(state, event)
      const changed = bytesToHex(encodeObligation(next.obligation)) !== bytesToHex(encodeObligation(state))
      if (!ACCEPTS[state.phase].includes(event.kind) && (changed || next.effects.length > 0)) return false
      for (const effect of next.effects) {
        if (effect.kind === 'ended') ends++
        else owed.push(effect.kind)
      }
      state = next.obligation
    }
    return ends <= 1 && (ends === 1) === (state.phase === 'ended') && new Set(owed).size <= 1 // never both claim and release
  })
  fc.assert(property, { numRuns: 300 })
  t.match(decodeObligation(encodeObligation(begin()).slice(1)), { ok: false })
  t.end()
})
