// The child process of findAdapter (webgpu-adapter.ts): asks Dawn for the adapter. A driver that crashes takes this process along, not the caller's.
import { requestAdapter } from "./dawn.ts";

const adapter = await requestAdapter();
const { vendor = "", architecture = "", device = "", description = "" } = adapter?.info ?? {};
const found = adapter && { vendor, architecture, device, description, maxBufferBytes: adapter.limits.maxBufferSize };
process.stdout.write(JSON.stringify(found ?? null), () => process.exit());
