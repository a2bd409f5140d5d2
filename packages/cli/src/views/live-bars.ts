/**
 * Draws a membership change on a terminal: the stage, then a bar for each new peer, redrawn in place; lines are printed above.
 */
import { MultiBar, type SingleBar } from 'cli-progress';
import type { ChangeView } from './change-view.js';

/** Control sequences of terminals: erase everything that follows; wrap long lines; cut them. */
const [clearBelow, wrapLines, cutLines] = ['\x1b[J', '\x1b[?7h', '\x1b[?7l'];
const barFormat = '  {peer} [{bar}] {percentage} %  {text}';
/** Lengths of a bar, and of what is beside it up to the percentage, in characters: the percentage is not cut off. */
const [shortestBar, longestBar, besideBar] = [5, 30, 20];

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
      barsize: Math.max(shortestBar, Math.min(longestBar, stream.columns - besideBar)),
      barCompleteChar: '#',
      barIncompleteChar: '-',
      linewrap: false,
      // Lines above push the bars down, over the text that was there.
      forceRedraw: true,
      format: barFormat,
    });
    this.headline = this.bars.create(1, 0, { text: '' }, { format: '{text}' });
  }

  /** Prints lines above the bars. */
  printAbove(lines: readonly string[]): void {
    // The library does not erase the rest of a line after its text, and makes the terminal cut long lines because of the bars.
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

  /** Leaves the last state on the screen and shows the cursor again. */
  stop(): void {
    if (!this.stopped) this.bars.stop();
    this.stopped = true;
  }
}
