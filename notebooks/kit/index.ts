// What notebooks need beside recipes: claims, checks, predictions, figures, tables.
export { type Check, CheckError, check } from "./check.ts";
export { type Claim, ClaimError, type ClaimOptions, claim, type Op, observed, type Target } from "./claim.ts";
export {
  bars,
  type Curve,
  type Figure,
  heat,
  type Labels,
  type LiveLine,
  line,
  liveLine,
  pareto,
  scatter,
} from "./plot.ts";
export { type Prediction, predict } from "./predict.ts";
export { readable } from "./show.ts";
export { type Row, table } from "./table.ts";
