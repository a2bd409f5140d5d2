/** A `conclave exporter` for tests. */
import { fileURLToPath } from 'node:url';
import { exitOf, spawnGuarded } from './leftovers.js';

const command = fileURLToPath(new URL('../../packages/cli/bin/conclave.js', import.meta.url));

/**
 * Starts it on a free port.
 * @param stops takes what stops it
 * @param more of its environment
 * @returns the address of its page
 */
export async function startExporter(
  servers: string,
  stops: { add(stop: () => Promise<unknown>): void },
  more: Readonly<Record<string, string>> = {},
): Promise<string> {
  const args = ['exporter', '--listen', '127.0.0.1:0', '--nats', servers, '--json'];
  const child = spawnGuarded(process.execPath, [command, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...more },
  });
  stops.add(async () => {
    child.kill();
    await exitOf(child);
  });
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout?.once('data', (data: Buffer) => resolve(String(data)));
    child.once('exit', () => reject(new Error('the exporter has ended')));
  });
  return (JSON.parse(line) as { url: string }).url;
}
