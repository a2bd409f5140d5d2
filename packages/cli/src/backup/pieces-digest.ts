import { createHash } from 'node:crypto';

/**
 * SHA-256 over the pieces of a state, each with its length. It is the same for the same state, whatever the size of its chunks.
 */
export class PiecesDigest {
  private readonly hash = createHash('sha256');

  add(piece: Uint8Array): void {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(piece.length);
    this.hash.update(length).update(piece);
  }

  end(): string {
    return this.hash.digest('hex');
  }
}
