import { LIMITS } from '../../base/limits.js'
import { type Routes, setPage } from '../routes.js'

export function addTokenRoutes(routes: Routes): void {
  const { api, tokens } = routes
  routes.read(api.tokens, ({ query }) => {
    const { page, cursor } = setPage(tokens.list(), ({ id }) => id, query, LIMITS.api_page)
    return { tokens: page, cursor }
  })
  routes.write(api.createToken, async (body) => ({ status: 201, value: await tokens.add(body) }))
  routes.write(api.revokeToken, async (_body, { params: { id } }) => {
    await tokens.revoke(id)
    return { status: 200, value: { id, revoked: true as const } }
  })
}
