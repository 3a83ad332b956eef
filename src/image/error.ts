/** An image file that cannot be used: which file, where in it, and why, in one line without a stack of our own. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  /** The file as the user named it. */
  readonly file: string;
  /** The place in the file, e.g. `program header 2 at 0x78`. */
  readonly place: string;
  readonly reason: string;

  constructor(file: string, place: string, reason: string) {
    super(`${file}: ${place}: ${reason}`);
    this.file = file;
    this.place = place;
    this.reason = reason;
  }
}
