import assert from "node:assert/strict";
import { chmodSync, globSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatNotebook, isCode, parseNotebook, readNotebook, writeNotebook } from "../../kernel/run/notebook.ts";
import { notebookOf, temporaryFolder } from "../made.ts";

const root = join(import.meta.dirname, "../..");

/** As Jupyter's own writer puts it: one space, sorted keys, texts as lists of lines with Python's idea of a line. */
const written = String.raw`{
 "cells": [
  {
   "attachments": {
    "a.svg": {
     "image/svg+xml": [
      "<svg>\n",
      "</svg>"
     ]
    }
   },
   "cell_type": "markdown",
   "id": "a",
   "metadata": {},
   "source": [
    "été 🙂\n",
    "b"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": 2,
   "id": "b",
   "metadata": {
    "list": [],
    "number": 1.0,
    "numbers": [
     1e-05,
     -0.0,
     12345678901234567890,
     1e16,
     0.5,
     3
    ],
    "tags": [
     "x"
    ]
   },
   "outputs": [
    {
     "name": "stdout",
     "output_type": "stream",
     "text": [
      "a\r\n",
      "\u000b",
      "b\f",
      "c\u001c",
      "d\r",
      "e"
     ]
    },
    {
     "data": {
      "application/json": [
       "kept",
       "apart"
      ],
      "application/vnd.x+json": {
       "y": 2.50,
       "z": 1.5e-07
      },
      "image/png": "aGk=\n",
      "text/plain": []
     },
     "execution_count": 2,
     "metadata": {},
     "output_type": "execute_result"
    },
    {
     "ename": "E",
     "evalue": "",
     "output_type": "error",
     "traceback": [
      "one\ntwo",
      "\u001b[31mred"
     ]
    }
   ],
   "source": []
  },
  {
   "cell_type": "raw",
   "id": "c",
   "metadata": {},
   "source": [
    "\"q\" \\ / \t\b"
   ]
  }
 ],
 "metadata": {},
 "nbformat": 4,
 "nbformat_minor": 5
}
`;

describe("runner: notebook files", () => {
  const folder = temporaryFolder();

  it("reading and writing leaves a file as it was", () => {
    assert.equal(formatNotebook(parseNotebook(written, "a.ipynb")), written);
    for (const file of globSync("notebooks/*.ipynb", { cwd: root })) {
      const text = readFileSync(join(root, file), "utf8");
      assert.equal(formatNotebook(parseNotebook(text, file)), text, file);
    }
  });

  it("joins texts that the file splits, and leaves JSON alone", () => {
    const cell = parseNotebook(written, "a.ipynb").cells[1]!;
    assert.ok(isCode(cell));
    const [stream, result] = cell.outputs as any[];
    assert.equal(stream.text, "a\r\n\u000bb\fc\u001cd\re");
    assert.deepEqual(result.data["application/json"], ["kept", "apart"]);
    assert.deepEqual(result.data["application/vnd.x+json"], { y: 2.5, z: 1.5e-7 });
    assert.equal(result.data["text/plain"], "");
  });

  it("writes a number that has changed", () => {
    const notebook = parseNotebook(written, "a.ipynb");
    const metadata = notebook.cells[1]!.metadata as any;
    metadata.number = 2;
    metadata.numbers[0] = 0.25;
    const text = formatNotebook(notebook);
    assert.match(text, /"number": 2,/);
    assert.match(text, / {5}0\.25,\n {5}-0\.0,/);
  });

  it("names the file, the cell and what is wrong with it", () => {
    const refused = (change: (notebook: any) => void, message: RegExp) => {
      const notebook = JSON.parse(JSON.stringify(notebookOf(["1", "2"])));
      change(notebook);
      assert.throws(() => parseNotebook(JSON.stringify(notebook), "n.ipynb"), message);
    };
    assert.throws(
      () => readNotebook(join(folder.path, "none.ipynb")),
      /cannot read the notebook .*none\.ipynb: ENOENT/,
    );
    assert.throws(() => parseNotebook("{", "n.ipynb"), /^Trouble: n\.ipynb is not JSON/);
    assert.throws(() => parseNotebook("[]", "n.ipynb"), /not an object/);
    refused((n) => (n.nbformat = 3), /n\.ipynb is not a notebook of format 4: nbformat is 3$/);
    refused((n) => delete n.cells, /cells is not a list/);
    refused((n) => Object.assign(n.cells[1], { cell_type: "heading" }), /cell 2 \(c2\): cell_type is "heading"/);
    refused((n) => Object.assign(n.cells[1], { id: "c1" }), /cell 2 \(c1\): another cell has the same id/);
    refused((n) => Object.assign(n.cells[1], { id: "a b" }), /id is "a b"/);
    refused((n) => Object.assign(n.cells[0], { source: 3 }), /cell 1 \(c1\): source is neither/);
    refused((n) => Object.assign(n.cells[0].metadata, { tags: "x" }), /metadata\.tags is not a list of texts/);
    refused(
      (n) => Object.assign(n.cells[0], { outputs: [{ output_type: "pyout" }] }),
      /output 1: output_type is "pyout"/,
    );
    refused((n) => Object.assign(n.cells[0], { execution_count: "1" }), /execution_count is "1"/);
  });

  it("replaces a file whole, or not at all", () => {
    const path = join(folder.path, "whole.ipynb");
    writeNotebook(path, notebookOf(["1"]));
    const before = readFileSync(path, "utf8");
    assert.throws(() => writeNotebook(path, { ...notebookOf(["2"]), metadata: { huge: 1n } as any }), /BigInt/);
    assert.equal(readFileSync(path, "utf8"), before);
    writeFileSync(join(folder.path, "bystander"), "");
    assert.deepEqual(readdirSync(folder.path).sort(), ["bystander", "whole.ipynb"]);
    if (process.getuid?.() === 0) return; // root may write everywhere
    chmodSync(folder.path, 0o500);
    try {
      assert.throws(() => writeNotebook(path, notebookOf(["2"])), /EACCES/);
    } finally {
      chmodSync(folder.path, 0o700);
    }
    assert.equal(readFileSync(path, "utf8"), before);
    assert.ok(statSync(path).size > 0);
  });
});
