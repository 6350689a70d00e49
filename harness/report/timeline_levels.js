// Levels of detail of a lane: what fills each cell of time, at cells of 1, 2, 4, 8 … microseconds. A level is made when a zoom first asks for it.
//
//     operations      ▬ ▬▬ ▬x▬ ▬  ▬▬▬▬▬▬▬▬▬▬  ▬▬      x: failed
//     cells of 4      w w  F  r               w       the gravest that touches the cell; 0: none does
//     wide                        ▬▬▬▬▬▬▬▬▬▬          what is three cells or longer, to be drawn by itself
//
// A frame takes the level whose cells are not wider than a pixel, and reads one to three cells a pixel, however many operations there are.
// The same idea as the mipmaps of pictures (Williams 1983) and the tiles of flame charts. Where a lane has fewer than one operation on two
// pixels, or a level would be larger than its operations, there is none, and each is drawn by itself.
"use strict";

const NARROW = 3, CELLS_EACH_MAX = 16;

// The level of a row for pixels of so many microseconds; null: better one by one.
function levelFor(t, row, pixelUs) {
  const power = Math.floor(Math.log2(pixelUs)), width = 2 ** power, cells = Math.floor(t.last / width) + 2;
  if (cells > CELLS_EACH_MAX * (row.ops.length + 64)) return null;
  let level = row.levels.get(power);
  if (!level) row.levels.set(power, level = madeLevel(t, row.ops, width, cells));
  return level;
}

function madeLevel(t, ops, width, cells) {
  const worst = new Uint8Array(cells), wide = []; // worst: rank + 1
  for (const i of ops) {
    const took = t.end[i] - t.start[i];
    if (took >= NARROW * width) wide.push(i);
    if (took >= 2 * NARROW * width) continue; // wide at every zoom that takes this level
    const last = Math.floor(t.end[i] / width), rank = t.rank[i] + 1;
    for (let cell = Math.floor(t.start[i] / width); cell <= last; cell++) if (worst[cell] < rank) worst[cell] = rank;
  }
  return { width, worst, wide };
}

// The gravest within a pixel from `at` on: rank + 1, or 0.
function worstIn(level, at, pixelUs) {
  const { worst, width } = level, end = Math.min(Math.ceil((at + pixelUs) / width), worst.length);
  let found = 0;
  for (let cell = Math.max(Math.floor(at / width), 0); cell < end; cell++) if (worst[cell] > found) found = worst[cell];
  return found;
}
