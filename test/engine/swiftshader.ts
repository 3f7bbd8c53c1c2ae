// A GPU in software: SwiftShader with Vulkan's loader, which the Chromium of npm carries along for Linux.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";

const archive = join(import.meta.dirname, "../../node_modules/@sparticuz/chromium/bin/swiftshader.tar.br");

/** Why there is none on this machine. */
export const noSwiftShader =
  process.platform !== "linux" || process.arch !== "x64"
    ? `SwiftShader comes for linux-x64, this is ${process.platform}-${process.arch}`
    : existsSync(archive)
      ? undefined
      : `${archive} is missing`;

/** Unpacks it into a folder and gives the variables with which a process finds it, and nothing but it. */
export function unpackSwiftShader(folder: string): Record<string, string> {
  for (const { name, data } of filesOf(brotliDecompressSync(readFileSync(archive)))) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, data, { mode: 0o755 });
  }
  const driver = join(folder, "vk_swiftshader_icd.json");
  return {
    LD_LIBRARY_PATH: [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":"),
    VK_DRIVER_FILES: driver,
    VK_ICD_FILENAMES: driver,
  };
}

/** The files of a tar archive: a header of 512 bytes with name and size in octal, then the bytes, filled up to 512. */
function* filesOf(tar: Buffer): Generator<{ name: string; data: Buffer }> {
  for (let at = 0; tar[at]; ) {
    const text = (from: number, length: number) =>
      tar.toString("latin1", at + from, at + from + length).replace(/\0.*$/s, "");
    const size = Number.parseInt(text(124, 12), 8);
    if (/^[0\0]?$/.test(text(156, 1))) yield { name: text(0, 100), data: tar.subarray(at + 512, at + 512 + size) };
    at += 512 * (1 + Math.ceil(size / 512));
  }
}
