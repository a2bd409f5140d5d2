/** Draws a change on a terminal: the stage, then a bar for each new peer, redrawn in place; lines go above. */
import { MultiBar, type SingleBar } from 'cli-progress';
import type { ChangeView } from './change-view.js';

/** Terminals' own: erase all that follows; break long lines; cut them. */
const [clearBelow, wrapLines, cutLines] = ['\x1b[J', '\x1b[?7h', '\x1b[?7l'];
const barFormat = '  {peer} [{bar}] {percentage} %  {text}';

export class LiveBars {
  private readonly bars: MultiBar;
  private readonly headline: SingleBar;
  private stopped = false;
  private readonly peers = new Map<string, SingleBar>();

  constructor(stream: NodeJS.WriteStream) {
    this.bars = new MultiBar({
      stream,
      hideCursor: true,
      gracefulExit: false,
      barsize: 30,
      barCompleteChar: '#',
      barIncompleteChar: '-',
      linewrap: false,
      // What is said above pushes the bars down, onto what stood there.
      forceRedraw: true,
      format: barFormat,
    });
    this.headline = this.bars.create(1, 0, { text: '' }, { format: '{text}' });
  }

  /** Prints lines above the bars. */
  say(lines: readonly string[]): void {
    // The library leaves what stood on a line behind what it writes there, and has long lines cut off for the bars' sake.
    for (const line of lines) this.bars.log(`${clearBelow}${wrapLines}${line}\n${cutLines}`);
  }

  draw(view: ChangeView, atMs: number): void {
    this.headline.update(0, { text: view.headline(atMs) });
    for (const { peerId, percent, text } of view.bars) {
      const bar = this.peers.get(peerId) ?? this.bars.create(100, 0, { peer: peerId.padEnd(8), text });
      this.peers.set(peerId, bar);
      bar.update(percent, { text });
    }
    this.bars.update();
  }

  /** Leaves the last state on the screen and gives the cursor back. */
  stop(): void {
    if (!this.stopped) this.bars.stop();
    this.stopped = true;
  }
}
