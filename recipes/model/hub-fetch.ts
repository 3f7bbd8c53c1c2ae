// Requests to a hub: the token goes there only, what may pass is tried again, and a refusal says what to do.
import { setTimeout as sleep } from "node:timers/promises";

/** What the hub refused, or that it could not be reached (status 0). */
export class HubError extends Error {
  override name = "HubError";
  readonly status: number;
  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

const PAUSES = [250, 500, 1000]; // ms before a request is made again
const PATIENCE = 60_000; // ms: the longest pause that a hub may ask for

/** A fetch for the hub, about one model. */
export function asker(
  id: string,
  revision: string,
  endpoint: string,
  token: string | undefined,
  signal?: AbortSignal,
): typeof fetch {
  const { origin } = new URL(endpoint);
  return async (url, init) => {
    const headers = new Headers(init?.headers);
    if (token && new URL(String(url)).origin === origin) headers.set("Authorization", `Bearer ${token}`);
    for (let i = 0; ; i++) {
      let response: Response;
      try {
        response = await fetch(url, { ...init, headers, signal });
      } catch (error) {
        signal?.throwIfAborted();
        const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
        if (i < PAUSES.length && !["ECONNREFUSED", "ENOTFOUND"].includes(cause?.code ?? "")) {
          await sleep(PAUSES[i], undefined, { signal });
          continue;
        }
        const why = cause?.code ?? cause?.message ?? (error as Error).message;
        throw new HubError(
          `${endpoint} cannot be reached (${why}): check the network and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 to take ` +
            "what the cache has.",
          0,
          { cause: error },
        );
      }
      if (response.ok) return response;
      await response.body?.cancel().catch(() => {});
      const { status } = response;
      const asked = pause(response.headers);
      if ((status === 429 || status >= 500) && i < PAUSES.length && (asked ?? 0) <= PATIENCE) {
        await sleep(asked ?? PAUSES[i], undefined, { signal });
        continue;
      }
      throw new HubError(refusal(response, { id, revision, endpoint, token, asked }), status);
    }
  };
}

// Milliseconds that a hub asks to wait: Retry-After: 30, or RateLimit: "api";r=0;t=30
function pause(headers: Headers): number | undefined {
  const seconds = headers.get("retry-after") ?? /;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  return seconds != null && /^\d+$/.test(seconds) ? 1000 * Number(seconds) : undefined;
}

interface Request {
  id: string;
  revision: string;
  endpoint: string;
  token?: string;
  asked?: number;
}

function refusal({ status, headers, url }: Response, { id, revision, endpoint, token, asked }: Request): string {
  const code = headers.get("x-error-code");
  const page = `${endpoint}/${id}`;
  const [given, make] = [token ? "the token that was given" : "no token", `${endpoint}/settings/tokens`];
  if (code === "GatedRepo" || (status === 403 && code !== "RepoNotFound"))
    return `${id} is only for those who accepted its terms (status ${status}, ${given}): accept them on ${page} and set HF_TOKEN to a token of that account (${make}).`;
  if (status === 401)
    return `${id} is not there, or private (status 401, ${given}): check the name on ${page}, or set HF_TOKEN to a token that may read it (${make}).`;
  if (status === 404 && code === "RevisionNotFound") return `${id} has no revision ${JSON.stringify(revision)}.`;
  if (status === 404 && code !== "EntryNotFound" && !url.includes("/resolve/"))
    return `${endpoint} has no model ${id} (status 404, ${given}): check the name on ${page}.`;
  if (status === 404) return `${id} at ${revision} does not have ${url}.`;
  if (status === 429) {
    const wait = asked === undefined ? "a few minutes" : `${asked / 1000} s`;
    return `${endpoint} takes no more requests for now (status 429, ${given}): try again in ${wait}${token ? "" : "; with a token (HF_TOKEN) it takes more"}.`;
  }
  return `${endpoint} answers ${url} with status ${status}: try again later.`;
}
