// How notebooks that were written for another kernel are read: the kernelspecs `tslab` and `jslab` say so in WHETSTONE_DIALECT.

/** `tslab`: TypeScript that is not strict. `jslab`: JavaScript that nobody checks. */
export type Dialect = "tslab" | "jslab";

export function dialect(env: NodeJS.ProcessEnv = process.env): Dialect | undefined {
  const name = env.WHETSTONE_DIALECT;
  return name === "tslab" || name === "jslab" ? name : undefined;
}
