// The map of the guide: no sentence is lost, and no claim that a sentence rests on.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { claimsIn, type StoredClaim, withTable } from "../../kernel/run/claims.ts";
import {
  coverageOf,
  differencesFrom,
  type GuideMap,
  guideTable,
  hashOf,
  headingsOfGuide,
  problemsOf,
  readMap,
  type Sentence,
  sectionsOf,
} from "../../notebooks/tools/guide.ts";
import { temporaryFolder } from "../made.ts";

const root = join(import.meta.dirname, "../..");
const stored = () => new Map(claimsIn(join(root, "notebooks")).map(({ claim }) => [claim.id, claim]));

describe("the map of the guide", () => {
  it("has every sentence of the 29 sections, each with what has become of it; all claims and notebooks that it names are there", () => {
    const map = readMap();
    assert.deepEqual(problemsOf(map, new Set(stored().keys())), []);
    assert.equal(map.sections.length, 29);
    assert.deepEqual(
      map.sections.map(({ parts }) => parts.length),
      Array(29).fill(4),
    );
    assert.ok(headingsOfGuide().has("Pruning Methods"));
  });

  it("refuses a claim that is gone, a sentence that is missing or changed, and a state that is none", () => {
    const first = (change: (map: GuideMap, sentence: Sentence) => void): string[] => {
      const map = readMap();
      const ids = new Set(stored().keys());
      const sentence = map.sections
        .flatMap(({ parts }) => parts)
        .flatMap((part) => part.sentences)
        .find(({ claims }) => claims)!;
      change(map, sentence);
      return problemsOf(map, ids);
    };
    const cases: [(map: GuideMap, sentence: Sentence) => void, RegExp[]][] = [
      [
        (map) => {
          map.sections[4]!.parts[1]!.sentences.pop();
        },
        [/^"What Techniques Are Used .*": a sentence is missing, added or changed/],
      ],
      [
        (map) => {
          map.sections[0]!.parts[0]!.sentences[0]!.text += " Always.";
        },
        [/a sentence is missing, added or changed/],
      ],
      [
        (map) => {
          map.sections[0]!.parts[2]!.title = "Other";
        },
        [/a sentence is missing, added or changed/],
      ],
      [
        (_, sentence) => {
          sentence.claims = ["no.such-claim"];
        },
        [/no notebook has the claim no\.such-claim any more/],
      ],
      [
        (_, sentence) => {
          sentence.against = ["no.such-claim"];
        },
        [/no notebook has the claim no\.such-claim any more/],
      ],
      [
        (_, sentence) => {
          sentence.open = ["99-ponies"];
        },
        [/no notebook 99-ponies is planned/],
      ],
      [
        (_, sentence) => {
          sentence.none = "people";
        },
        [/it needs one of .* it has 2/],
      ],
      [
        (_, sentence) => {
          sentence.claims = undefined;
          sentence.open = undefined;
        },
        [/it needs one of .* it has 0/],
      ],
      [
        (_, sentence) => {
          sentence.claims = [];
        },
        [/a list is empty/],
      ],
      [
        (_, sentence) => {
          Object.assign(sentence, { claims: undefined, open: undefined, none: "dull" });
        },
        [/there is no reason "dull"; there are people, /],
      ],
      [
        (_, sentence) => {
          Object.assign(sentence, { claims: undefined, open: undefined, says: "much" });
        },
        [/"says" is "much"/],
      ],
    ];
    for (const [change, expected] of cases) {
      const found = first(change);
      assert.equal(found.length, expected.length, JSON.stringify(found));
      for (const [i, text] of expected.entries()) assert.match(found[i]!, text);
    }
  });

  it("counts what is tested, what holds as it is written, what waits and what nobody can test", () => {
    const claim = (id: string, pass: boolean): StoredClaim => ({ id, value: 1, op: "<", target: 2, pass });
    const claims = new Map([
      ["a", claim("a", true)],
      ["b", claim("b", false)],
    ]);
    const sentences: Sentence[] = [
      { text: "holds", claims: ["a"] },
      { text: "does not", claims: ["a", "b"], open: ["02-x"] },
      { text: "spoken against", claims: ["a"], against: ["a"] },
      { text: "spoken against in vain", against: ["b"] },
      { text: "waits", open: ["02-x"] },
      { text: "nobody", none: "people" },
      { text: "a definition", says: "definition" },
    ];
    const counts = { sentences: 7, asserting: 6, tested: 4, holding: 2, open: 1, none: 1 };
    assert.deepEqual(coverageOf(sentences, claims), counts);
    const section = { title: "Why?", sha256: "", parts: [{ title: "Why?", sentences }] };
    const lines = guideTable({ guide: "", reasons: {}, planned: [], sections: [section] }, claims).split("\n");
    assert.equal(lines[2], "| 1. Why? | 7 | 6 | 4 | 2 | 1 | 1 |");
    assert.equal(lines.at(-1), "4 of 5 sentences that can be tested are (80 %); 2 of them hold as they are written.");
  });

  it("is compared with the guide's text, section by section", () => {
    const text =
      "Title (2025)\n\nIt is about x. Really.\n\nWhy so?\n\nBecause. It is “so”. See e.g. this.\n\nA part\n\nOne sentence.\n\nMini FAQ\n\nWhy so?\n";
    const [section, ...more] = sectionsOf(text);
    assert.deepEqual(
      [section, more],
      [
        {
          title: "Why so?",
          parts: [
            {
              title: "Why so?",
              sentences: [{ text: "Because." }, { text: "It is “so”." }, { text: "See e.g. this." }],
            },
            { title: "A part", sentences: [{ text: "One sentence." }] },
          ],
        },
        [],
      ],
    );
    const map = { ...readMap(), sections: [{ ...section!, sha256: hashOf(section!) }] };
    assert.deepEqual(differencesFrom(text, map), []);
    assert.deepEqual(differencesFrom(text.replace("One", "A"), map), ['"Why so?" is another text in the guide']);
    assert.deepEqual(differencesFrom(`${text.replace("Mini FAQ", "How?\n\nSo.\n\nMini FAQ")}`, map), [
      'the map has no section "How?"',
    ]);
    assert.deepEqual(differencesFrom(text.replace("Why so?\n\nBecause", "How?\n\nBecause"), map), [
      'the guide has no section "Why so?"',
      'the map has no section "How?"',
    ]);
  });

  it("README's table of coverage is that of the map and the committed notebooks", () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const fresh = withTable(readme, guideTable(readMap(), stored()), "guide");
    assert.equal(readme, fresh, "stale: npm run guide -- --markdown README.md");
  });

  it("the command prints the coverage, a section, and what differs from a text; its exit code tells", () => {
    const folder = join(temporary.path, "guide.txt");
    writeFileSync(folder, "Why so?\n\nBecause.\n");
    const run = (...args: string[]) => {
      const { stdout, stderr, status } = spawnSync(
        process.execPath,
        [join(root, "notebooks/tools/guide.ts"), ...args],
        { encoding: "utf8" },
      );
      return { stdout, stderr, status };
    };
    const plain = run();
    assert.equal(plain.status, 0, plain.stderr);
    assert.match(plain.stdout, /\| \*\*all\*\* \| 436 \| /);
    assert.match(plain.stdout, /\n12-pruning-structure|\n17-distillation: \d+ sentences wait/);
    assert.match(
      run("--section", "5").stdout,
      /- Pruned models can be retrained[^\n]*\n {4}tested: pruning\.retraining-helps ✔/,
    );
    const other = run("--source", folder);
    assert.equal(other.status, 1);
    assert.match(other.stderr, /the map has no section "Why so\?"/);
    assert.match(run("--section", "30").stderr, /--section 30: there are 1 to 29/);
  }).timeout(120_000);

  const temporary = temporaryFolder();
});
