/**
 * Distributes a source's records to the browsers.
 *
 * Owns: the model of the last hour, and a queue for each browser. A browser that connects receives the state, then the records.
 *
 * Invariants:
 * 1. A browser's model equals this one, but for records that it was told to be lost.
 * 2. A browser that reads slowly holds up no other, and its queue is bounded.
 */
import { limits } from '@conclave/protocol';
import { ViewModel } from '../model/index.js';
import type { SourceInfo, ViewSource } from '../source/view-source.js';
import { BrowserQueue } from './browser-queue.js';

/** Between two deliveries to browsers. */
const flushMs = 100;
/** A connection without records shows that way that it lives. */
const keepAliveMs = 5000;

/** What the page may do beyond showing records. */
export interface PageAbilities {
  readonly keys: boolean;
  readonly admin: boolean;
}

interface Browser {
  readonly queue: BrowserQueue;
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  sentAt: number;
  /** It must receive the whole state before other records. */
  needsState: boolean;
  needsControls: boolean;
}

const encoder = new TextEncoder();

export class ViewHub {
  private model: ViewModel;
  private info: SourceInfo;
  private readonly browsers = new Set<Browser>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly source: ViewSource,
    private readonly abilities: PageAbilities,
  ) {
    this.info = source.info;
    this.model = new ViewModel(this.info);
    this.timer = setInterval(() => this.flush(), flushMs);
    source.subscribe({
      onRecords: (records) => {
        this.model.fold(records);
        // The state is smaller than so many records, as after a jump in a recording.
        if (records.length > limits.viewBrowserRecords / 4) this.sendState();
        else for (const { queue } of this.browsers) queue.add(records);
      },
      onRestarted: (info, records) => {
        this.info = info;
        this.model = new ViewModel(info);
        this.model.fold(records);
        this.sendState();
      },
      onControls: () => {
        for (const browser of this.browsers) browser.needsControls = true;
      },
    });
  }

  /** How many browsers are connected. */
  get browserCount(): number {
    return this.browsers.size;
  }

  /** Returns the stream of a browser that connects; undefined: there are too many. */
  connect(): ReadableStream<Uint8Array> | undefined {
    if (this.browsers.size >= limits.viewBrowsers) return undefined;
    let browser: Browser | undefined;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          const queue = new BrowserQueue();
          browser = { queue, controller, sentAt: Date.now(), needsState: true, needsControls: false };
          this.browsers.add(browser);
          this.source.onAudience?.(this.browsers.size);
          this.flushOne(browser);
        },
        cancel: () => {
          if (browser === undefined) return;
          this.browsers.delete(browser);
          this.source.onAudience?.(this.browsers.size);
        },
      },
      // One delivery waits in the stream, all others in the queue, which has a bound.
      { highWaterMark: 1 },
    );
  }

  close(): void {
    clearInterval(this.timer);
    for (const { controller } of this.browsers) tryTo(() => controller.close());
    this.browsers.clear();
  }

  /** Each browser receives the whole state next. */
  private sendState(): void {
    for (const browser of this.browsers) {
      browser.queue.clear();
      browser.needsState = true;
    }
  }

  private flush(): void {
    for (const browser of this.browsers) this.flushOne(browser);
  }

  private flushOne(browser: Browser): void {
    // The last delivery has not been read yet.
    if ((browser.controller.desiredSize ?? 0) <= 0) return;
    const texts: string[] = [];
    if (browser.needsState) {
      browser.needsState = false;
      browser.queue.clear();
      const { info, abilities } = this;
      texts.push(event('state', { info, abilities, state: this.model.state, controls: this.source.controls?.state() }));
      browser.needsControls = false;
    }
    const records = browser.queue.take();
    if (records.length > 0) texts.push(event('records', records));
    if (browser.needsControls) {
      browser.needsControls = false;
      texts.push(event('controls', this.source.controls?.state()));
    }
    if (texts.length === 0) {
      if (Date.now() - browser.sentAt < keepAliveMs) return;
      texts.push(event('alive', {}));
    }
    browser.sentAt = Date.now();
    tryTo(() => browser.controller.enqueue(encoder.encode(texts.join(''))));
  }
}

/** A server-sent event: JSON contains no line breaks. */
export function event(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** A stream whose browser is gone cannot be written to, and is removed by `cancel`. */
function tryTo(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}
