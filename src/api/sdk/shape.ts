/** Names as TypeScript has them, made of the API's: `can_send_minor` → `canSend`, `window_s` → `windowSeconds`. */

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S
export type SdkName<S extends string> = S extends `${infer Base}_minor`
  ? Camel<Base>
  : S extends `${infer Base}_s`
    ? `${Camel<Base>}Seconds`
    : Camel<S>

/** The parsed answer, its amounts as bigints of minor units. */
export type Sdk<T> = T extends bigint | string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Sdk<Item>[]
    : { readonly [K in keyof T as K extends string ? SdkName<K> : never]: Sdk<T[K]> }

const nameOf = (name: string): string =>
  name
    .replace(/_minor$/, '')
    .replace(/_s$/, '_seconds')
    .replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

export function toSdk<T>(value: T): Sdk<T> {
  if (Array.isArray(value)) return value.map((item: unknown) => toSdk(item)) as Sdk<T>
  if (typeof value !== 'object' || value === null) return value as Sdk<T>
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [nameOf(name), toSdk(item)])) as Sdk<T>
}
