// @ts-check
// Wheels by the Python of .venv, into .setup/.
import { join } from "node:path";
import * as wheels from "../engine/install/wheel.mjs";
import { call } from "./call.mjs";
import { place } from "./place.mjs";

/** @type {wheels.Python} */
export const python = (args, onLine) => call(place.python, args, { onLine });

/**
 * Downloads one wheel with pip into a folder that is emptied first.
 * @param {string} folder name below .setup/
 * @param {string} requirement `name==version`
 * @param {string[]} options which wheel, when it need not fit this Python
 * @param {(line: string) => void} onLine
 * @returns {Promise<string>} path of the wheel
 */
export const downloadWheel = (folder, requirement, options, onLine) =>
  wheels.downloadWheel(python, join(place.work, folder), requirement, options, onLine);

/**
 * Unpacks the files below `prefix` whose path after it fits one of the shell patterns.
 * @param {string} wheel @param {string} dest @param {string} prefix @param {string[]} [patterns]
 */
export const unpackWheel = (wheel, dest, prefix, patterns) => wheels.unpackWheel(python, wheel, dest, prefix, patterns);
