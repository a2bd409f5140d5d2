/** `conclave view` as a process of a test. */
import { createInterface } from 'node:readline';
import { type CommandRun, startCommand } from './command.js';

export class ViewProcess {
  private constructor(
    /** The address of the page, with a slash at its end. */
    readonly url: string,
    private readonly run: CommandRun,
  ) {}

  /** @param listen `127.0.0.1:0`: any free port */
  static async start(
    natsUrl: string,
    { listen = '127.0.0.1:0', args = [], env = {} }: ViewOptions = {},
  ): Promise<ViewProcess> {
    const run = startCommand(natsUrl, ['view', '--json', '--listen', listen, ...args], env);
    const lines = createInterface({ input: run.child.stdout as NodeJS.ReadableStream });
    const first = await Promise.race([
      new Promise<string>((resolve) => lines.once('line', resolve)),
      run.ended.then(({ error }) => {
        throw new Error(`conclave view has ended: ${error}`);
      }),
    ]);
    return new ViewProcess((JSON.parse(first) as { url: string }).url, run);
  }

  /** Reads the page's stream until all of these were in it. @returns what was read */
  async streams(...wanted: readonly RegExp[]): Promise<string> {
    const body = (await fetch(`${this.url}api/stream`)).body as ReadableStream<Uint8Array>;
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let seen = '';
    while (!wanted.every((one) => one.test(seen))) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`the stream has ended: ${seen}`);
      seen += decoder.decode(value, { stream: true });
    }
    await reader.cancel();
    return seen;
  }

  get processId(): number {
    return this.run.child.pid as number;
  }

  /** Ends it as Ctrl-C does. */
  async stop(): Promise<void> {
    this.run.child.kill('SIGINT');
    await this.run.ended;
  }

  async kill(): Promise<void> {
    this.run.child.kill('SIGKILL');
    await this.run.ended;
  }
}

export interface ViewOptions {
  readonly listen?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}
