/**
 * Pauses reading from a NATS connection, so that other input of this process is not delayed: after some milliseconds in one turn of
 * the event loop, and while too many bytes wait to be written to the connection.
 *
 * Owns: whether reading is paused. Does not own the socket.
 */

/** For how long the connection is read in one turn of the event loop. */
const readingMs = 4;
/** How often it is checked whether fewer bytes wait to be written. */
const congestedMs = 5;

/** What pauses and resumes the socket; undefined: there is no socket at the moment. */
export interface PausableSocket {
  pause(): void;
  resume(): void;
}

export class ReadingPause {
  /** When the current turn of the event loop began to read; undefined: it has not read yet. */
  private readingSinceMs: number | undefined;
  private paused = false;

  constructor(
    private readonly socket: () => PausableSocket | undefined,
    private readonly isCongested: () => boolean,
  ) {}

  get isPaused(): boolean {
    return this.paused;
  }

  /** A message was received: pauses reading if this turn of the event loop has read for long enough. */
  onMessage(): void {
    if (this.readingSinceMs === undefined) {
      this.readingSinceMs = performance.now();
      setImmediate(() => this.onNextTurn());
    } else if (!this.paused && performance.now() - this.readingSinceMs > readingMs) {
      this.pause();
    }
  }

  private onNextTurn(): void {
    this.readingSinceMs = undefined;
    if (this.isCongested()) {
      this.pause();
      setTimeout(() => this.onNextTurn(), congestedMs);
    } else if (this.paused) {
      this.paused = false;
      this.socket()?.resume();
    }
  }

  private pause(): void {
    this.paused = true;
    this.socket()?.pause();
  }
}
