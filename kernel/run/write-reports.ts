// Puts the reports of a run into their folder.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { gallery } from "./gallery.ts";
import { readNotebook } from "./notebook.ts";
import { junit, markdown, type Report } from "./report.ts";
import { writeWhole } from "./whole.ts";

/** `placeOf` gives the path of an executed notebook. */
export function writeReports(folder: string, report: Report, root: string, placeOf: (name: string) => string): void {
  writeWhole(join(folder, "notebooks.json"), `${JSON.stringify(report, null, 1)}\n`);
  writeWhole(join(folder, "notebooks.xml"), junit(report, root));
  writeWhole(join(folder, "notebooks.md"), markdown(report, root));
  const executed = report.notebooks.map((result) => {
    const place = placeOf(result.name);
    // What stands there of an earlier run is not this one's.
    const isOfThisRun = result.cells.length > 0 && existsSync(place);
    return { result, notebook: isOfThisRun ? readNotebook(place) : undefined };
  });
  writeWhole(join(folder, "index.html"), gallery(report, executed, root));
}
