/** What is told once a round's operations are irrevocable (C12). */
import { unreachable } from '../base/errors.js'
import { keyOf } from './operation.js'
import { findLock } from './predicate.js'
import { emit, type Turn, update } from './turn.js'
import type { Lock, Operation } from './types.js'

/** @param removed the locks that the operations took out, as they were. */
export function tellOutcomes(turn: Turn, operations: readonly Operation[], removed: readonly Lock[]): undefined {
  const notes = new Map(turn.state.notes)
  for (const operation of operations) tellOutcome(turn, operation, removed)
  for (const lock of removed) notes.delete(keyOf(lock))
  if (notes.size !== turn.state.notes.size) update(turn, { notes })
}

function tellOutcome(turn: Turn, { id, from, body }: Operation, removed: readonly Lock[]): undefined {
  switch (body.kind) {
    case 'pay':
      return emit(turn, { type: 'paid', id, from, amount: body.amount, reference: body.reference })
    case 'lock': {
      const lock = findLock(turn.state.current.content.locks, { from, id })
      if (lock !== undefined) emit(turn, { type: 'lockIn', lock, payload: body.payload })
      return
    }
    case 'claim': {
      const lock = findLock(removed, body.lock)
      if (lock !== undefined) emit(turn, { type: 'lockSettled', lock, scalar: body.scalar })
      return
    }
    case 'release': {
      const lock = findLock(removed, body.lock)
      if (lock !== undefined) emit(turn, { type: 'lockReturned', lock, reason: body.reason, by: from })
      return
    }
    default:
      return unreachable(body)
  }
}
