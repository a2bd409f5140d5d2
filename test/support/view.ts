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
