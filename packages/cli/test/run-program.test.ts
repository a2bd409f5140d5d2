import { expect, test } from 'vitest';
import { createProgram } from '../src/program.js';
import { createRunProgram, namesConfiguration } from '../src/run-program.js';

function helpOfRun(create: typeof createProgram): string {
  const run = create().commands.find((command) => command.name() === 'run');
  let help = '';
  run?.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  run?.outputHelp();
  return help;
}

test('the program that contains `run` alone has the same `run` as the program with all commands', () => {
  expect(helpOfRun(createRunProgram)).toContain('--config <file>');
  expect(helpOfRun(createRunProgram)).toBe(helpOfRun(createProgram));
  expect(createRunProgram().commands.map((command) => command.name())).toEqual(['run']);
});

test.each([
  [['run', '--peer', 'n1'], {}, false],
  [['run', '--peer', 'n1'], { CONCLAVE_CONFIG: '' }, false],
  [['run', '--config', 'file.yaml'], {}, true],
  [['run', '--config=file.yaml'], {}, true],
  [['run', '--context', 'x'], {}, true],
  [['run'], { CONCLAVE_CONFIG: 'file.yaml' }, true],
  [['run'], { CONCLAVE_CONTEXT: 'x' }, true],
])('%j with %j names a configuration: %s', (words, environment, names) => {
  expect(namesConfiguration(words, environment)).toBe(names);
});
