/** What a value that never changes comes to: worked out when it is first asked for, and kept as long as the value is. */
export function oncePer<Value extends object, Result extends object>(
  make: (value: Value) => Result,
): (value: Value) => Result {
  const known = new WeakMap<Value, Result>()
  return (value) => {
    const result = known.get(value) ?? make(value)
    known.set(value, result)
    return result
  }
}
