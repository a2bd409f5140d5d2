// The index of the decision records: each record is in it once, with its title and its status.

import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectFiles, textOf } from './mentions.js';

const folder = 'docs/decisions/';
const records = projectFiles.filter((file) => file.startsWith(folder) && /\/\d{4}-[^/]*\.md$/.test(file)).sort();
const index = textOf(`${folder}README.md`);
const rows = [...index.matchAll(/^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \| (accepted|replaced by \d{4}) \|$/gm)].map(
  ([, number = '', file = '', title = '', status = '']) => ({ number, file, title, status }),
);
const numbers = rows.map(({ number }) => number);

/** The first line of a record and its status. */
function headOf(file: string): { title: string; status: string } {
  const [, title = '', status = ''] =
    /^# (\d{4}: .+)\n\nStatus: (accepted|replaced by \[\d{4}\])/.exec(textOf(file)) ?? [];
  return { title, status: status.replace(/[[\]]/g, '') };
}

describe('docs/decisions/README.md', () => {
  it('has each record once, and no other', () => {
    expect(rows.map(({ file }) => folder + file).sort()).toEqual(records);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  it.each(records)('has the title and the status of %s', (file) => {
    const row = rows.find((each) => folder + each.file === file);
    expect(path.basename(file).slice(0, 4)).toBe(row?.number);
    expect(headOf(file)).toEqual({ title: `${row?.number}: ${row?.title}`, status: row?.status });
  });

  it('names a record that exists where one is replaced', () => {
    const successors = rows.flatMap(({ status }) => status.match(/\d{4}/) ?? []);
    expect(successors.filter((number) => !numbers.includes(number))).toEqual([]);
  });
});
