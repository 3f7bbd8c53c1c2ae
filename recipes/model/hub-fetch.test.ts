// Runs as it is: node --test hub-fetch.test.ts
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { asker } from "./hub-fetch.ts";

test("tries again what may pass, sends the token, and says what a refusal means", async () => {
  const seen: (string | undefined)[] = [];
  let failures = 1;
  const server = createServer(({ url, headers }, response) => {
    seen.push(headers.authorization);
    if (url === "/busy" && failures-- > 0) response.writeHead(503, { "retry-after": "0" }).end();
    else if (url === "/busy") response.end("yes");
    else response.writeHead(401).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const get = asker("org/name", "main", endpoint, "secret");
    assert.equal(await (await get(`${endpoint}/busy`)).text(), "yes");
    assert.deepEqual(seen, ["Bearer secret", "Bearer secret"]);
    await assert.rejects(get(`${endpoint}/other`), { name: "HubError", status: 401, message: /not there, or private/ });
  } finally {
    server.close();
  }
  await assert.rejects(asker("org/name", "main", endpoint, undefined)(endpoint), /cannot be reached \(ECONNREFUSED\)/);
});
