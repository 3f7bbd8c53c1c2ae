export function newNotebook(name: string, recipe?: string): string[] {
  return [name, recipe ?? ""];
}
