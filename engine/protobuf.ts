// Reads and writes protobuf messages without their descriptions: fields by number.

/** A field of a message: a number, or the bytes of what has a length (text, packed numbers, another message). */
export interface Field {
  field: number;
  /** a varint; exact up to 2^53 */
  value?: number;
  bytes?: Uint8Array;
}

/** A varint, and where it ends. */
function varintAt(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * scale;
    if (byte < 0x80 || byte === undefined) return [value, at];
  }
}

/** The fields of a message in their order. Those of fixed width are there without a value. */
export function fields(message: Uint8Array): Field[] {
  const found: Field[] = [];
  let at = 0;
  const varint = () => {
    const [value, next] = varintAt(message, at);
    at = next;
    return value;
  };
  while (at < message.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === 2) {
      const length = varint();
      found.push({ field, bytes: message.subarray(at, at + length) });
      at += length;
    } else if (wire === 0) {
      found.push({ field, value: varint() });
    } else {
      at += wire === 1 ? 8 : 4;
      found.push({ field });
    }
  }
  return found;
}

/** All messages of a repeated field. */
export const messages = (of: Field[], field: number): Field[][] =>
  of.flatMap((f) => (f.field === field && f.bytes ? [fields(f.bytes)] : []));

/** The number of a field; 0 where it is not there, as protobuf has it. */
export const numberOf = (of: Field[], field: number): number => of.find((f) => f.field === field)?.value ?? 0;

/** The bytes of a field. */
export const bytesAt = (of: Field[], field: number): Uint8Array | undefined => of.find((f) => f.field === field)?.bytes;

const decoder = new TextDecoder();

/** The text of a field; "" where it is not there. */
export const textOf = (of: Field[], field: number): string => {
  const bytes = bytesAt(of, field);
  return bytes ? decoder.decode(bytes) : "";
};

/** A repeated number, packed or one by one. */
export function numbersOf(of: Field[], field: number): number[] {
  return of.flatMap((f) => {
    if (f.field !== field) return [];
    if (f.value !== undefined) return [f.value];
    const values: number[] = [];
    for (let at = 0; f.bytes && at < f.bytes.length; ) {
      const [value, next] = varintAt(f.bytes, at);
      values.push(value);
      at = next;
    }
    return values;
  });
}

/** A message, or a part of one, of these fields. */
export const messageOf = (...written: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(written));

/** A field that is a number; one below zero has 64 bits. */
export const writeNumber = (field: number, value: number): Uint8Array => messageOf(varint(field << 3), varint(value));

/** A field that is text, bytes or another message. */
export function writeBytes(field: number, content: Uint8Array | string): Uint8Array {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return messageOf(varint((field << 3) | 2), varint(bytes.length), bytes);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
