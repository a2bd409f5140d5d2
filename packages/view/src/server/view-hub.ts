/**
 * Distributes the records of a source to the browsers that show the page.
 *
 * Owns: the model, which contains what the page shows of the last hour, and a queue for each browser. A browser that connects
 * first receives the state of the model, and then the records that follow.
 *
 * Invariants:
 * 1. The model in a browser equals the model here, except for records that were dropped. A `lost` record reports how many were.
 * 2. A browser that reads slowly does not delay other browsers, and its queue is bounded.
 */
import { limits } from '@conclave/protocol';
import { ViewModel } from '../model/index.js';
import type { SourceInfo, ViewSource } from '../source/view-source.js';
import { BrowserQueue } from './browser-queue.js';

/** The time between two deliveries to a browser. */
const flushMs = 100;
/** If there are no records for this long, the browser receives an `alive` event, so that it knows that the connection works. */
const keepAliveMs = 5000;

/** What the page can do in addition to showing records: read keys, send admin commands. */
export interface PageAbilities {
  readonly keys: boolean;
  readonly admin: boolean;
}

interface Browser {
  readonly queue: BrowserQueue;
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  sentAt: number;
  /** Whether it must receive the whole state of the model before further records. */
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
        // After a jump in a recording, for example, the state is smaller than the many records.
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
      // The stream buffers one delivery; all other records wait in the queue, which is bounded.
      { highWaterMark: 1 },
    );
  }

  close(): void {
    clearInterval(this.timer);
    for (const { controller } of this.browsers) ignoreClosed(() => controller.close());
    this.browsers.clear();
  }

  /** Makes the whole state the next delivery to each browser. */
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
    // The browser has not read the last delivery yet.
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
    ignoreClosed(() => browser.controller.enqueue(encoder.encode(texts.join(''))));
  }
}

/** Returns a server-sent event. Its data are one line, because JSON text contains no line breaks. */
export function event(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Does nothing if the browser has closed the stream, which throws then; `cancel` removes the browser. */
function ignoreClosed(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}
