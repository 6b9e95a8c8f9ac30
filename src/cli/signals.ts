/**
 * Resolves with the first SIGINT or SIGTERM; a second one ends the process at once, as it does by default. A child with a
 * channel to its parent (the demo's) also stops when the parent is gone, however it went.
 */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
      process.off('disconnect', stop)
      resolve()
    }
    if (process.connected === false) resolve()
    else if (process.connected) process.on('disconnect', stop)
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}
