// @ts-check
// What can go wrong with a machine, each in one paragraph: what is wrong, what to do, what works meanwhile.
import { CallFailed } from "./call.mjs";

/** A cause that the person at the machine can mend. */
export class Trouble extends Error {
  /**
   * @param {keyof typeof paragraphs} kind
   * @param {Record<string, string>} [facts]
   */
  constructor(kind, facts = {}) {
    super(paragraphs[kind](facts));
    this.kind = kind;
  }
}

const installPython = {
  linux: "`sudo apt install python3 python3-venv` on Debian and Ubuntu, `sudo dnf install python3` on Fedora",
  darwin: "`brew install python`, or the installer of python.org",
  win32: "`winget install Python.Python.3.13`",
};
const pythonCommand =
  installPython[/** @type {keyof typeof installPython} */ (process.platform)] ?? "the package manager of your system";

const withoutPython =
  "Until then the kernel and the recipes work on WASM (`npm run notebooks -- 00-start-here`); JupyterLab, TensorFlow and the MiniLM model need Python.";

/** @satisfies {Record<string, (facts: Record<string, string>) => string>} */
const paragraphs = {
  "python-missing": () =>
    `No Python was found (looked for python3, python${process.platform === "win32" ? ", py -3" : ""} on the PATH). JupyterLab needs Python 3.10 or newer: install it with ${pythonCommand}, then run \`npm run setup\` again. ${withoutPython}`,
  "python-old": ({ version, path }) =>
    `Python ${version} at ${path} is too old: JupyterLab needs Python 3.10 or newer. Install a newer one with ${pythonCommand}, put it first on the PATH (\`python3 --version\` must show it), then run \`npm run setup\` again. ${withoutPython}`,
  "venv-missing": ({ version, path }) =>
    `Python ${version} at ${path} has no venv module, so JupyterLab cannot be installed into the project. Install it with \`sudo apt install python${version}-venv\` on Debian and Ubuntu, or take a complete Python (${pythonCommand}), then run \`npm run setup\` again. ${withoutPython}`,
  "pip-missing": ({ version, path }) =>
    `Python ${version} at ${path} has neither ensurepip nor pip 22.3 or newer, so nothing can be installed with it. Debian and Ubuntu split this off: \`sudo apt install python${version}-venv\`. Elsewhere take a complete Python (${pythonCommand}). Then run \`npm run setup\` again. ${withoutPython}`,
  "disk-full": ({ path, free, need }) =>
    `The disk that holds ${path} is full: ${free ? `${free} GB are free, and ${need} GB are needed for this step` : "a write failed for lack of space"}. Free some space (\`npm cache clean --force\` and \`python3 -m pip cache purge\` are safe), or move the clone to a larger disk, then run \`npm run setup\` again: it goes on where it stopped. What is already set up keeps working.`,
  network: ({ host }) =>
    `The package registry${host ? ` ${host}` : ""} cannot be reached: no network, or a firewall lets nothing through. Check it with \`npm ping\` and \`python3 -m pip download --no-deps -d . six\`. Behind a company proxy set HTTPS_PROXY=http://host:port; with a mirror of your own set \`npm config set registry URL\` and \`pip config set global.index-url URL\`. Then run \`npm run setup\` again: it goes on where it stopped. What is already set up works without network.`,
  proxy: ({ proxy, why }) =>
    `The proxy${proxy ? ` ${proxy}` : ""} refuses or does not answer${why ? ` (${why})` : ""}. It comes from HTTPS_PROXY, HTTP_PROXY, or the settings of npm and pip (\`npm config get https-proxy\`, \`pip config list\`). Correct its address, add name and password if it answers 407 (http://name:password@host:port), or unset the variable where no proxy is needed. Then run \`npm run setup\` again: it goes on where it stopped. What is already set up works without network.`,
  certificate: () =>
    `The certificate of the package registry is not trusted: mostly a company proxy that opens TLS and signs with a certificate of its own. Ask for that certificate as a .pem file, then set NODE_EXTRA_CA_CERTS=/path/to/it.pem for npm and PIP_CERT=/path/to/it.pem for pip, and run \`npm run setup\` again.`,
};

const signs = /** @type {[keyof typeof paragraphs, RegExp][]} */ ([
  ["disk-full", /ENOSPC|no space left on device/i],
  ["proxy", /ProxyError|cannot connect to proxy|tunnel connection failed|proxy authentication|\b407\b/i],
  ["certificate", /CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|UNABLE_TO_(GET|VERIFY)_\w+|certificate verify failed/i],
  [
    "network",
    /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|NewConnectionError|ConnectTimeout|ReadTimeout|Temporary failure in name resolution|Network is unreachable/i,
  ],
]);

/** The proxy that the environment names, without its password. */
function proxyOfEnvironment() {
  const { env } = process;
  const proxy =
    env.HTTPS_PROXY || env.https_proxy || env.HTTP_PROXY || env.http_proxy || env.ALL_PROXY || env.all_proxy;
  return proxy?.replace(/\/\/[^@/]*@/, "//***@");
}

/**
 * The paragraph for whatever made a step fail.
 * @param {unknown} error
 * @param {{ path: string, log: string }} where what the step was writing, and where the whole output is kept
 */
export function explain(error, { path, log }) {
  if (error instanceof Trouble) return error.message;
  const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
  const text = error instanceof CallFailed ? `${message}\n${error.output}` : `${code ?? ""} ${message}`;
  let kind = signs.find(([, sign]) => sign.test(text))?.[0];
  const proxy = proxyOfEnvironment();
  // npm says of an unreachable proxy only that the connection was refused.
  if (kind === "network" && proxy) kind = "proxy";
  if (kind)
    return new Trouble(kind, { path, proxy: proxy ?? "", why: /\b407\b/.test(text) ? "it answers 407" : "" }).message;
  const tail = error instanceof CallFailed ? error.output.trimEnd().split("\n").slice(-8).join("\n") : "";
  return `${message}${tail ? `\n${tail}` : ""}\nThe whole output is in ${log}. Run \`npm run setup\` again: it goes on where it stopped.`;
}
