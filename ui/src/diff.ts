// The difference of two texts, line by line (Myers: "An O(ND) Difference Algorithm").

export interface DiffLine {
  kind: "same" | "added" | "removed";
  text: string;
  /** Counted from 1, where the line stands in the old and in the new text. */
  before: number | null;
  after: number | null;
}

const lines = (text: string) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

export function diff(beforeText: string, afterText: string): DiffLine[] {
  const before = lines(beforeText);
  const after = lines(afterText);
  const steps = walk(before, after);
  let [at, to] = [0, 0];
  return steps.map((kind) => {
    if (kind === "same") {
      at += 1;
      to += 1;
      return { kind, text: before[at - 1] ?? "", before: at, after: to };
    }
    if (kind === "removed") {
      at += 1;
      return { kind, text: before[at - 1] ?? "", before: at, after: null };
    }
    to += 1;
    return { kind, text: after[to - 1] ?? "", before: null, after: to };
  });
}

/** Texts further apart than this are shown as one block out, one block in. */
const FAR_APART = 4000;

function walk(before: string[], after: string[]): DiffLine["kind"][] {
  const most = Math.min(before.length + after.length, FAR_APART);
  const reach = new Map<number, number>([[1, 0]]);
  const trail: Map<number, number>[] = [];
  for (let cost = 0; cost <= most; cost += 1) {
    trail.push(new Map(reach));
    for (let line = -cost; line <= cost; line += 2) {
      const down = line === -cost || (line !== cost && (reach.get(line - 1) ?? -1) < (reach.get(line + 1) ?? -1));
      let x = down ? (reach.get(line + 1) ?? 0) : (reach.get(line - 1) ?? 0) + 1;
      let y = x - line;
      while (x < before.length && y < after.length && before[x] === after[y]) {
        x += 1;
        y += 1;
      }
      reach.set(line, x);
      if (x >= before.length && y >= after.length) return back(trail, before.length, after.length);
    }
  }
  return [...before.map(() => "removed" as const), ...after.map(() => "added" as const)];
}

function back(trail: Map<number, number>[], x: number, y: number): DiffLine["kind"][] {
  const steps: DiffLine["kind"][] = [];
  for (let cost = trail.length - 1; cost >= 0; cost -= 1) {
    const reach = trail[cost] ?? new Map<number, number>();
    const line = x - y;
    const down =
      line === -cost || (line !== cost && (reach.get(line - 1) ?? -1) < (reach.get(line + 1) ?? -1));
    const from = down ? line + 1 : line - 1;
    const fromX = cost === 0 ? 0 : (reach.get(from) ?? 0);
    const fromY = cost === 0 ? 0 : fromX - from;
    while (x > fromX && y > fromY) {
      steps.push("same");
      x -= 1;
      y -= 1;
    }
    if (cost > 0) steps.push(down ? "added" : "removed");
    x = fromX;
    y = fromY;
  }
  return steps.reverse();
}

/** Only what changed, with `around` lines of what stands by; `null` where lines are left out. */
export function folded(all: DiffLine[], around = 3): (DiffLine | null)[] {
  const keep = new Set<number>();
  all.forEach((line, at) => {
    if (line.kind === "same") return;
    for (let near = at - around; near <= at + around; near += 1) keep.add(near);
  });
  const shown: (DiffLine | null)[] = [];
  all.forEach((line, at) => {
    if (keep.has(at)) shown.push(line);
    else if (shown.length === 0 || shown[shown.length - 1] !== null) shown.push(null);
  });
  return shown;
}
