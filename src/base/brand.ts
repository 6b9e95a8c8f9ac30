declare const brand: unique symbol

/** A type that only its own parser can produce: parsed once at the door, trusted inside. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }
