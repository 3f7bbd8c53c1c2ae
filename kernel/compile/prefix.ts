/**
 * What the JavaScript of a checked cell begins with. Makes functions see `undefined` as `this` and refuses the same as modules do. Tracebacks
 * take its length off the columns of the first line. `{a: 1}` has a parenthesis in the place of the space.
 */
export const strictPrefix = '"use strict"; ';
