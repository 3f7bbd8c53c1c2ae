// Texts in the content of messages: clients send what they like.

/** The text in a field; "" when there is none. Throws for lists and objects, which cannot be meant. */
export function textIn(content: Record<string, any>, field: string): string {
  const value: unknown = content[field] ?? "";
  if (typeof value === "object") {
    throw new TypeError(`${field} is ${Array.isArray(value) ? "a list" : "an object"}, not a text`);
  }
  return String(value);
}
