import { describe, expect, it } from "vitest";
import { diff, folded } from "./diff";

const apply = (before: string, after: string) => {
  const steps = diff(before, after);
  const text = (kind: "added" | "removed") =>
    steps.filter((line) => line.kind === "same" || line.kind === kind).map((line) => line.text);
  return { before: text("removed"), after: text("added"), changes: steps.filter((line) => line.kind !== "same").length };
};

describe("the difference of two texts", () => {
  it("says which lines went and which came", () => {
    const steps = diff("a\nb\nc\n", "a\nx\nc\n");
    expect(steps.map((line) => `${line.kind} ${line.text}`)).toEqual(["same a", "removed b", "added x", "same c"]);
    expect(steps.map((line) => [line.before, line.after])).toEqual([[1, 1], [2, null], [null, 2], [3, 3]]);
  });

  it("gives both texts back, whatever they are", () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % below;
    };
    for (let round = 0; round < 200; round += 1) {
      const make = () => Array.from({ length: random(12) }, () => "abcd"[random(4)] ?? "a");
      const [before, after] = [make(), make()];
      const found = apply(before.join("\n"), after.join("\n"));
      expect(found.before).toEqual(before);
      expect(found.after).toEqual(after);
    }
  });

  it("finds the smallest change", () => {
    expect(apply("a\nb\nc\na\nb\nb\na", "c\nb\na\nb\na\nc").changes).toBe(5);
    expect(apply("", "").changes).toBe(0);
    expect(apply("same\n", "same\n").changes).toBe(0);
  });

  it("leaves out what stands far from a change", () => {
    const before = Array.from({ length: 30 }, (_, at) => `line ${at}`);
    const after = before.map((line, at) => (at === 15 ? "other" : line));
    const shown = folded(diff(before.join("\n"), after.join("\n")));
    expect(shown[0]).toBeNull();
    expect(shown.filter((line) => line !== null)).toHaveLength(8);
  });
});
