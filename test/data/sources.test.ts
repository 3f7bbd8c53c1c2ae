// The sources are what the cards say, their splits do not leak, and the rules of the made tasks hold.
import assert from "node:assert/strict";
import fc from "fast-check";
import { loadText } from "../../data/corpus.ts";
import { loadMails, type Mail, mask } from "../../data/mails.ts";
import { loadNames } from "../../data/names.ts";
import { checkSplits } from "../../data/source.ts";
import * as tasks from "../../data/tasks.ts";
import { synonyms } from "../../data/wordnet.ts";
import type { Split } from "../../recipes/core/data.ts";
import { rng } from "../../recipes/core/rng.ts";

describe("sources", () => {
  it("Moby Dick begins and ends as the novel does, whichever split its chapters are in", () => {
    const text = Object.values(loadText("moby-dick"));
    for (const line of ["Call me Ishmael. Some years ago", "only found another orphan."])
      assert.equal(text.filter((part) => part.includes(line)).length, 1, line);
  });

  it("first names are in one split each, with the list they stand in", () => {
    const names = loadNames();
    const all = Object.values(names).flat();
    assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
    const given = new Map(all.map(({ name, given }) => [name, given]));
    assert.deepEqual([given.get("abigail"), given.get("herman"), given.get("robin")], ["female", "male", "both"]);
  });

  it("a source that has changed is refused, with the split and the package named", () => {
    const hashes = (test: string) => ({ train: { sha256: "a" }, validation: { sha256: "b" }, test: { sha256: test } });
    checkSplits("the names", hashes("c"), hashes("c"), "some-package");
    assert.throws(
      () => checkSplits("the names", hashes("c"), hashes("d"), "some-package"),
      /The test split of the names has SHA-256 c, but data\/splits\.json says d\. Another version of some-package is installed: run npm ci/,
    );
  });

  it("WordNet gives synonyms, commonest sense first, and none for what is no word", () => {
    assert.deepEqual(synonyms("dog", { senses: 1 }), ["domestic dog", "canis familiaris"]);
    assert.ok(synonyms("Happy").includes("glad") && !synonyms("happy").includes("happy"));
    assert.ok(synonyms("run", { part: "noun" }).every((word) => !["scarper"].includes(word)));
    assert.deepEqual(synonyms("qqqq"), []);
    assert.throws(() => synonyms("dog", { part: "article" as "noun" }), /no part of speech "article"; there are noun/);
  });
});

describe("mails", () => {
  let mails: Record<Split, Mail[]>;

  before(async function () {
    this.timeout(60_000);
    mails = await loadMails();
  });

  it("have no header, no address, no markup", () => {
    const all = Object.values(mails).flat();
    for (const { id, text } of all) {
      // Quoted headers of forwarded mails are text; the mail's own stood before its subject.
      assert.doesNotMatch(text, /^(Received|Return-Path|Message-Id|Delivered-To|From):/, id);
      assert.doesNotMatch(text, /[\w.]+@[\w-]+\.[a-z]{2,}/i, id);
      assert.doesNotMatch(text, /https?:\/\/\w/i, id);
    }
    const markup = all.filter(({ text }) => /<\/?(table|font|body|td)\b/i.test(text)).length;
    assert.ok(markup < 0.02 * all.length, `${markup} mails hold tags`);
  });

  it("are not in two splits, not even nearly", () => {
    const words = (mail: Mail) => (mail.text.toLowerCase().match(/[a-z]+/g) ?? []).join(" ");
    const train = new Set(mails.train.map(words));
    for (const mail of [...mails.validation, ...mails.test]) assert.ok(!train.has(words(mail)), mail.id);
    // Jaccard similarity of the sets of words of every pair would be slow; long runs that return are what leaks.
    const runs = (mail: Mail) => words(mail).match(/(?:\S+ ){40}/g) ?? [];
    const known = new Set(mails.train.flatMap(runs));
    const shared = mails.test.filter(
      (mail) => runs(mail).filter((run) => known.has(run)).length > runs(mail).length / 2,
    );
    assert.ok(shared.length <= 0.01 * mails.test.length, shared.map(({ id }) => id).join(" "));
  });

  it("addresses are masked as they are written", () => {
    assert.equal(mask("write to jo.doe+x@mail.example.org or call (555) 123-4567"), "write to <email> or call <phone>");
    assert.equal(mask("see http://a.example/b?c=d and www.example.com/x ."), "see <url> and <url> .");
    assert.equal(mask("in 1999 we sold 2000 of 12,345 for $3.50"), "in 1999 we sold 2000 of 12,345 for $3.50");
  });
});

describe("tasks", () => {
  const of = (make: (r: ReturnType<typeof rng>) => tasks.SequenceExample) => (seed: number) => {
    const { ids, targets } = make(rng(seed));
    assert.equal(ids.length, targets.length);
    const again = make(rng(seed));
    assert.deepEqual([ids, targets], [again.ids, again.targets]);
    const asked = [...targets.keys()].filter((i) => targets[i] !== -1);
    return { ids: [...ids], answer: asked.map((i) => targets[i]), asked };
  };
  const each = (check: (seed: number) => void) => fc.assert(fc.property(fc.nat(), check), { numRuns: 200 });

  it("copy and reverse ask for the word that stands before the separator", () => {
    each((seed) => {
      const straight = of((r) => tasks.copy(r, { symbols: 5, length: 6 }))(seed);
      assert.deepEqual(straight.answer, straight.ids.slice(1, 7));
      assert.equal(straight.ids[straight.asked[0]], tasks.special.separator);
      const back = of((r) => tasks.reverse(r, { symbols: 5, length: 6 }))(seed);
      assert.deepEqual(back.answer, back.ids.slice(1, 7).reverse());
    });
  });

  it("induction asks for what followed the symbol before", () => {
    each((seed) => {
      const { ids, answer } = of((r) => tasks.induction(r, { symbols: 20, length: 10 }))(seed);
      assert.deepEqual(answer, [ids[ids.indexOf(ids.at(-1)!) + 1]]);
    });
    const { ids, targets } = tasks.induction(rng(7), { symbols: 20, length: 10, queries: 3 });
    const asked = Array.from(targets.keys()).filter((at) => targets[at] >= 0);
    assert.deepEqual(asked, [11, 13, 15]);
    for (const at of asked) assert.equal(targets[at], ids[ids.indexOf(ids[at]) + 1]);
    assert.throws(() => tasks.induction(rng(0), { symbols: 4, length: 5 }), /5 different symbols do not exist among 4/);
  });

  it("sum is a sum modulo the number of symbols", () => {
    each((seed) => {
      const { ids, answer } = of((r) => tasks.sum(r, { symbols: 13 }))(seed);
      const [a, b, c] = [ids[1], ids[2], answer[0]].map((id) => id - tasks.special.symbols);
      assert.equal(c, (a + b) % 13);
    });
  });

  it("needle asks for the value of a key that stands once among the filler", () => {
    each((seed) => {
      const { ids, answer } = of((r) => tasks.needle(r, { symbols: 12, length: 20, pairs: 3 }))(seed);
      const body = ids.slice(1, -2);
      assert.equal(body.length, 20);
      assert.equal(body.filter((id) => id === ids.at(-1)).length, 1);
      assert.deepEqual(answer, [body[body.indexOf(ids.at(-1)!) + 1]]);
    });
    assert.throws(() => tasks.needle(rng(0), { symbols: 6, pairs: 3 }), /3 pairs do not fit 6 symbols/);
  });

  it("the cipher language loses nothing and shares no word with English", () => {
    each((seed) => {
      const { english, cipher } = tasks.translation(rng(seed));
      assert.equal(tasks.decipher(cipher), english);
      const words = new Set(english.split(" "));
      assert.ok(
        cipher.split(" ").every((word) => !words.has(word)),
        `${english} | ${cipher}`,
      );
    });
    assert.throws(() => tasks.encipher("the dog"), /not of the form/);
  });

  it("a summary is what the one who does most does, in order, without traits", () => {
    const text = "the old farmer buys the horse . the judge sees the poor farmer . the farmer sells the book";
    assert.equal(tasks.summarize(text), "farmer: buys horse, sells book");
    assert.equal(tasks.summarize("the judge sees the ship . the miller buys the ship"), "judge: sees ship"); // the first of equals
    for (let i = 0; i < 300; i++) {
      const made = tasks.summary(rng(1).fork(i));
      assert.equal(made.summary, tasks.summarize(made.text));
      assert.match(made.summary, /^\w+: \w+ \w+, \w+ \w+$/);
    }
    assert.throws(
      () => tasks.summarize("a farmer buys"),
      /is not of the form "the \[trait\] who verb the \[trait\] what"/,
    );
  });

  it("sentiment has both labels, and words alone do not tell", () => {
    const all = Array.from({ length: 2000 }, (_, i) => tasks.sentiment(rng(1).fork(i)));
    const positive = all.filter(({ label }) => label === "positive");
    assert.ok(positive.length > 900 && positive.length < 1100, `${positive.length}`);
    const clever = all.filter(({ text }) => text.includes("splendid"));
    assert.ok(new Set(clever.map(({ label }) => label)).size === 2);
  });

  it("a question's answer stands in its context once, where it says", () => {
    const all = tasks.questions();
    assert.ok(all.train.length > 1500 && all.validation.length > 150 && all.test.length > 80);
    for (const { context, answer, start, question } of Object.values(all).flat()) {
      assert.equal(context.slice(start, start + answer.length), answer);
      assert.equal(context.split(answer).length, 2);
      assert.ok(!question.includes(answer), question);
    }
  });
});
