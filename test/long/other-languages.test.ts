// Programs in other languages with strict msgpack libraries: an integer is an integer there, never a float.

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { decode } from '@conclave/protocol';
import { afterEach, expect, test } from 'vitest';
import goldenBodies from '../../packages/protocol/test/golden-bodies.json' with { type: 'json' };

const execute = promisify(execFile);

/** Decodes each body into int64 where Conclave has integers, and prints it as JSON and encoded again. */
const goProgram = `package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"github.com/vmihailenco/msgpack/v5"
)

type Change struct {
	_msgpack struct{} \`msgpack:",as_array"\`
	Revision int64
	Type     string
	Key      string
	Value    string
}

type Body struct {
	Integers []int64   \`msgpack:"integers,omitempty"\`
	Floats   []float64 \`msgpack:"floats,omitempty"\`
	Revision int64     \`msgpack:"revision,omitempty"\`
	After    int64     \`msgpack:"after,omitempty"\`
	GroupUid string    \`msgpack:"group_uid,omitempty"\`
	Changes  []Change  \`msgpack:"changes,omitempty"\`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	for _, text := range os.Args[1:] {
		data, err := hex.DecodeString(text)
		check(err)
		var body Body
		check(msgpack.Unmarshal(data, &body))
		again, err := msgpack.Marshal(&body)
		check(err)
		var found map[string]interface{}
		check(msgpack.Unmarshal(again, &found))
		line, err := json.Marshal(found)
		check(err)
		fmt.Println(string(line) + "\\t" + hex.EncodeToString(again))
	}
}
`;

const pythonProgram = `import json, sys
import msgpack

def check(name, value):
    if isinstance(value, float) and name != "floats":
        sys.exit(f"{name}: {value} is a float")
    for key, part in value.items() if isinstance(value, dict) else []:
        check(key, part)
    for part in value if isinstance(value, list) else []:
        check(name, part)

for text in sys.argv[1:]:
    body = msgpack.unpackb(bytes.fromhex(text), strict_map_key=True)
    check("", body)
    print(json.dumps(body) + "\\t" + msgpack.packb(body).hex())
`;

const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'conclave-languages-'));
  folders.push(folder);
  return folder;
}

/** Only these of a body are compared: what the Go program has no field for, it drops. */
function withoutText(body: object): object {
  return Object.fromEntries(Object.entries(body).filter(([name]) => /^[a-z_]+$/.test(name)));
}

function expectBodies(output: string): void {
  const lines = output.trimEnd().split('\n');
  expect(lines).toHaveLength(goldenBodies.length);
  goldenBodies.forEach(({ body }, number) => {
    const [json, hex] = (lines[number] as string).split('\t') as [string, string];
    expect(withoutText(JSON.parse(json) as object)).toEqual(withoutText(body));
    // What such a client encodes is what Conclave reads.
    expect(withoutText(decode(Buffer.from(hex, 'hex')) as object)).toEqual(withoutText(body));
  });
}

/** Runs a program to its end. @returns what it printed */
async function run(cwd: string, program: string, ...args: string[]): Promise<string> {
  return (await execute(program, args, { cwd })).stdout;
}

const hexes = goldenBodies.map(({ hex }) => hex);

test('a Go program decodes the integers of the bodies on record as int64', async () => {
  const folder = await newFolder();
  await writeFile(path.join(folder, 'main.go'), goProgram);
  await run(folder, 'go', 'mod', 'init', 'strict');
  await run(folder, 'go', 'get', 'github.com/vmihailenco/msgpack/v5@v5.4.1');
  expectBodies(await run(folder, 'go', 'run', '.', ...hexes));
});

test('a Python program decodes the integers of the bodies on record as int', async () => {
  const folder = await newFolder();
  await writeFile(path.join(folder, 'main.py'), pythonProgram);
  await run(folder, 'python3', '-m', 'venv', 'python');
  const python = path.join(folder, 'python', 'bin', 'python');
  await run(folder, python, '-m', 'pip', 'install', '--quiet', 'msgpack==1.1.0');
  expectBodies(await run(folder, python, 'main.py', ...hexes));
});
