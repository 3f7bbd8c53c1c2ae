// What the kernel says of itself.
import { dialect } from "../compile/dialect.ts";
import { protocolVersion } from "../wire/message.ts";

export interface Versions {
  kernel: string;
  typescript: string;
}

const typeScript = {
  name: "typescript",
  // JupyterLab knows TypeScript by this type only, and Notebook 6 by this mode.
  mimetype: "application/typescript",
  file_extension: ".ts",
  codemirror_mode: "typescript",
  pygments_lexer: "typescript",
  nbconvert_exporter: "script",
};

const javaScript = {
  name: "javascript",
  mimetype: "text/javascript",
  file_extension: ".js",
  codemirror_mode: "javascript",
  pygments_lexer: "javascript",
  nbconvert_exporter: "script",
};

/** The content of a kernel_info_reply. */
export function kernelInfo({ kernel, typescript }: Versions) {
  return {
    status: "ok",
    protocol_version: protocolVersion,
    implementation: "whetstone",
    implementation_version: kernel,
    language_info:
      dialect() === "jslab"
        ? { ...javaScript, version: process.versions.node }
        : { ...typeScript, version: typescript },
    banner: `Whetstone ${kernel}: TypeScript ${typescript} on Node ${process.versions.node}`,
    help_links: [
      { text: "TypeScript handbook", url: "https://www.typescriptlang.org/docs/handbook/" },
      { text: "TensorFlow.js API", url: "https://js.tensorflow.org/api/latest/" },
      { text: "Node.js API", url: "https://nodejs.org/docs/latest-v24.x/api/" },
    ],
    supported_features: ["iopub_welcome"],
    debugger: false,
  };
}
