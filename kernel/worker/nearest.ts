// Which name the user may have meant.

/** The names that differ from the wanted one by a typing error, or by the ending only; the best first. */
export function nearest(wanted: string, names: readonly string[]): string[] {
  const stem = (name: string) => name.toLowerCase().replace(/\.[^.]+$/, "");
  return names
    .filter((name) => !name.startsWith("."))
    .map((name) => ({ name, distance: distance(stem(name), stem(wanted)) }))
    .filter((each) => each.distance <= Math.max(1, Math.floor(stem(wanted).length / 3)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 2)
    .map(({ name }) => name);
}

/** How many characters have to be added, dropped, replaced or exchanged with their neighbour. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(replaced, rows[i - 1]![j]! + 1, row[j - 1]! + 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
