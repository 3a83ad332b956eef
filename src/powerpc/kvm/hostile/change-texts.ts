/** Fewer printable bytes, or without a space among them, may be code or names. */
const LEAST_TEXT = 12;
const SPACE = 0x20;
const CASE = 0x20;

/** A copy of an image in which the letters of all its texts have the other case: it says the same, and is not the same. */
export function changeTexts(image: Uint8Array): Uint8Array {
  const changed = image.slice();
  let start = 0;
  for (let at = 0; at <= image.length; at++) {
    if (isPrintable(image[at])) continue;
    const text = changed.subarray(start, at);
    if (text.length >= LEAST_TEXT && text.includes(SPACE)) changeCase(text);
    start = at + 1;
  }
  return changed;
}

function isPrintable(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x20 && byte < 0x7f;
}

function changeCase(text: Uint8Array): void {
  for (const [i, byte] of text.entries()) if (isLetter(byte)) text[i] = byte ^ CASE;
}

function isLetter(byte: number): boolean {
  const lower = byte | CASE;
  return lower >= 0x61 && lower <= 0x7a;
}
