/** Runs programs of this machine and collects their output. */
import { type SpawnOptions, spawn } from 'node:child_process';

export interface ToolResult {
  /** The exit code: 127 if the program could not be started, 1 if a signal ended it. */
  readonly code: number;
  /** The text that it wrote to standard output and standard error. */
  readonly output: string;
}

/** Runs a program to its end, without input. */
export function runTool(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<ToolResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.on('error', (error) => resolve({ code: 127, output: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
