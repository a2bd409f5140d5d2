/**
 * The watchdog of `conclave lock`, a process of its own: kills the process group of the command if the process of `conclave lock`
 * has ended, or does not report in time that the lease was renewed.
 * Reads lines from standard input: `group <id>`, answered with `ready`; `left <ms>`, how long from now on the group may run;
 * `done`: the group has ended. The end of the input means that `conclave lock` has ended.
 */
import { createInterface } from 'node:readline';

let group = 0;
let timer: NodeJS.Timeout | undefined;

function kill(): void {
  try {
    if (group > 1) process.kill(-group, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function onLine(line: string): void {
  const [word, value] = line.split(' ');
  switch (word) {
    case 'group':
      group = Number(value);
      process.stdout.write('ready\n');
      break;
    case 'left':
      clearTimeout(timer);
      timer = setTimeout(kill, Number(value));
      break;
    case 'done':
      process.exit(0);
  }
}

createInterface({ input: process.stdin })
  .on('line', onLine)
  .on('close', () => {
    kill();
    process.exit(0);
  });
