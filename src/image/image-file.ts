/** A file as the user named it, and its bytes. */
export interface ImageFile {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** Bytes to be put into guest memory; memory from there to `end` that they do not cover is zero. */
export interface PlacedSegment {
  readonly base: number;
  readonly bytes: Uint8Array;
  readonly end: number;
}
