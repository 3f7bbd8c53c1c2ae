import assert from "node:assert/strict";
import { createComplaints } from "../../kernel/core/complaints.ts";
import { createEncoder, decode, MalformedMessage } from "../../kernel/wire/message.ts";
import { createReplayGuard } from "../../kernel/wire/replay.ts";
import { createSigner } from "../../kernel/wire/sign.ts";

describe("messages on the wire", () => {
  const signer = createSigner("key");
  const encode = createEncoder("session", signer);
  const frames = (content: object): Buffer[] =>
    encode([], { type: "comm_msg", content, parent: {} }).map((frame) => Buffer.from(frame));

  it("are signed as RFC 4231 has it, over the four frames one after the other", () => {
    // Test case 2 of the RFC: its data cut into four.
    const right = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const { sign, verify } = createSigner("Jefe");
    const parts = ["what do ya ", "want ", "for ", "nothing?"];
    assert.equal(sign(parts), right);
    assert.ok(verify(parts.map(Buffer.from), Buffer.from(right)));
    for (const wrong of ["", right.slice(1), right.toUpperCase(), `${right}0`, right.replace("5", "6")]) {
      assert.ok(!verify(parts.map(Buffer.from), Buffer.from(wrong)), wrong);
    }
  });

  it("are taken once each; of those long ago only so many are remembered", () => {
    const limit = 100;
    const isNew = createReplayGuard(limit);
    const signature = (i: number) => Buffer.from(`signature ${i}`);
    for (let i = 0; i < 1000; i++) {
      assert.ok(isNew(signature(i)));
      for (const before of [i, i - 1, i - limit + 1])
        assert.ok(before < 0 || !isNew(signature(before)), `${before} after ${i}`);
    }
    assert.ok(isNew(signature(1000 - 2 * limit - 1)), "it would have to remember everything");
  });

  it("refuse a replay after the signature has been looked at, so that a forged message takes no place", () => {
    const isNew = createReplayGuard();
    const good = frames({ a: 1 });
    const forged = good.with(-1, Buffer.from('{"a":2}'));
    assert.throws(() => decode(forged, signer, isNew), /wrong signature/);
    assert.deepEqual(decode(good, signer, isNew).content, { a: 1 });
    assert.throws(
      () => decode(good, signer, isNew),
      (error) => error instanceof MalformedMessage && /a replay/.test(error.message),
    );
    const open = createSigner("");
    const unsigned = good.with(1, Buffer.from(""));
    for (let i = 0; i < 2; i++)
      assert.deepEqual(decode(unsigned, open, isNew).content, { a: 1 }, "without a key nothing tells them apart");
  });

  it("may be nested as figures and widgets are, and not beyond what can be written again", () => {
    const nested = (depth: number) => {
      let value: object = {};
      for (let i = 1; i < depth; i++) value = i % 2 === 0 ? { value } : [value];
      return value;
    };
    assert.doesNotThrow(() => decode(frames({ data: nested(499) }), signer));
    assert.throws(() => decode(frames({ data: nested(500) }), signer), /content has more than 500 lists and objects/);
    assert.throws(() => decode(frames({ data: nested(3000) }), signer), MalformedMessage);
  });
});

describe("complaints about what others send", () => {
  it("are so many lines, and cannot steer a terminal", () => {
    const lines: string[] = [];
    const complain = createComplaints((line) => lines.push(line));
    complain("\x1b[2Jone\rtwo\nthree\u202e");
    assert.equal(lines[0], "\ufffd[2Jone\ufffdtwo\n  three\ufffd");
    for (let i = 0; i < 10_000; i++) complain("x".repeat(5000));
    assert.equal(lines.length, 20);
    assert.ok(lines.every((line) => line.length <= 1000));
  });
});
