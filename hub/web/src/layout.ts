/** Where tiles go: any number of them in a place of any shape. Plain geometry in CSS pixels. */

/** A rectangle within the place. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Between tiles. */
const GAP = 8;
/** Tiles become no narrower: rather the place is scrolled. */
const NARROWEST = 140;

/** Boxes of `count` tiles of one `aspect` (width over height) that fill `place` best; centred, the last row too. */
export function grid(count: number, place: Box, aspect: number): Box[] {
  let best = { width: 0, columns: 1 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const across = (place.width - GAP * (columns - 1)) / columns;
    const down = ((place.height - GAP * (rows - 1)) / rows) * aspect;
    const width = Math.min(across, down);
    if (width > best.width) {
      best = { width, columns };
    }
  }
  if (best.width < NARROWEST) {
    const columns = Math.max(1, Math.floor((place.width + GAP) / (NARROWEST + GAP)));
    best = { width: (place.width - GAP * (columns - 1)) / columns, columns };
  }
  const { width, columns } = best;
  const height = width / aspect;
  const rows = Math.ceil(count / columns);
  const top = place.y + Math.max(0, (place.height - rows * height - GAP * (rows - 1)) / 2);
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, count - row * columns);
    const left = place.x + (place.width - inRow * width - GAP * (inRow - 1)) / 2;
    return { x: left + (index % columns) * (width + GAP), y: top + row * (height + GAP), width, height };
  });
}

/** As `grid`, but the tile with the number `large` gets most of the place, the others a strip beside or below it. */
export function spotlight(count: number, large: number, place: Box, aspect: number): Box[] {
  if (count === 1) {
    return [place];
  }
  const beside = place.width > place.height;
  const strip = beside ? Math.min(240, place.width * 0.25) : Math.min(160, place.height * 0.25);
  const main: Box = beside
    ? { ...place, width: place.width - strip - GAP }
    : { ...place, height: place.height - strip - GAP };
  const side: Box = beside
    ? { ...place, x: place.x + place.width - strip, width: strip }
    : { ...place, y: place.y + place.height - strip, height: strip };
  const others = grid(count - 1, side, aspect);
  others.splice(large, 0, main);
  return others;
}
