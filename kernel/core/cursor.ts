// Jupyter counts a cursor in Unicode code points, JavaScript in UTF-16 units: they differ after an emoji.

/** The index in UTF-16 units of a position in code points; beyond the end it is the end. */
export function toUnits(text: string, points: number): number {
  let units = 0;
  for (let left = points; left > 0 && units < text.length; left--) units += text.codePointAt(units)! > 0xffff ? 2 : 1;
  return units;
}

/** The position in code points of an index in UTF-16 units. */
export function toPoints(text: string, units: number): number {
  return [...text.slice(0, units)].length;
}
