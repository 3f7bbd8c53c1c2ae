// Messages with binary parts on a pipe: length of what follows, length of the JSON (uint32 each, little-endian), JSON, the parts. The JSON's
// `sizes` says how long each part is.

const head = 8;

/** A message as bytes. Throws when something in it cannot be written as JSON. */
export function packetOf(message: object, buffers: readonly Uint8Array[] = []): Buffer {
  const sizes = buffers.map(({ byteLength }) => byteLength);
  const json = Buffer.from(JSON.stringify(sizes.length === 0 ? message : { ...message, sizes }));
  const packet = Buffer.concat([Buffer.alloc(head), json, ...buffers]);
  packet.writeUInt32LE(packet.length - 4);
  packet.writeUInt32LE(json.length, 4);
  return packet;
}

/** Takes chunks as they come and calls `take` with each whole message, its parts in `buffers`. */
export function createPacketReader<T>(take: (message: T & { buffers: Buffer[] }) => void): (chunk: Buffer) => void {
  // Joined only when a message is whole: one of 64 MB comes in a thousand chunks.
  let chunks: Buffer[] = [];
  let length = 0;
  let wanted = 4;
  return (chunk) => {
    chunks.push(chunk);
    length += chunk.length;
    while (length >= wanted) {
      let bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      wanted = 4 + bytes.readUInt32LE(0);
      const whole = bytes.length >= wanted ? bytes.subarray(0, wanted) : undefined;
      if (whole !== undefined) {
        bytes = bytes.subarray(wanted);
        wanted = 4;
      }
      [chunks, length] = [[bytes], bytes.length];
      if (whole !== undefined) take(messageOf<T>(whole));
    }
  };
}

function messageOf<T>(packet: Buffer): T & { buffers: Buffer[] } {
  let at = head + packet.readUInt32LE(4);
  const { sizes = [], ...message } = JSON.parse(packet.toString("utf8", head, at)) as { sizes?: number[] };
  const buffers = sizes.map((size) => {
    at += size;
    return packet.subarray(at - size, at);
  });
  return { ...message, buffers } as T & { buffers: Buffer[] };
}
