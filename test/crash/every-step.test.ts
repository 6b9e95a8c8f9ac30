/** R5: payer, hubs and payee killed, or their power cut, at every step of a payment: it has one end, everywhere and for good. */
import t from 'tap'
import { everyStep, SCENES } from './every-step/steps.js'

/** Of the longer payment's acts; `npm run crash -- --every-step` takes all of them, in all ways. */
const ONE_IN = [1, 8]

for (const [at, scene] of SCENES.entries()) {
  t.test(scene.name, async (t) => {
    const { trials, ends, wrong } = await everyStep(scene, 'test', { oneIn: ONE_IN[at] ?? 1 })
    t.same(wrong, [])
    t.comment(ends)
    t.ok((ends['succeeded'] ?? 0) > (3 * trials) / 4, 'most go on to their end')
    t.ok((ends['succeeded'] ?? 0) < trials, 'and some cannot')
  })
}
