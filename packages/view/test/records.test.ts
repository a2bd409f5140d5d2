import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Body, limits } from '@conclave/protocol';
import { afterAll, describe, expect, it } from 'vitest';
import { messageRecord, RecordWriter, readRecording, type SentMessage } from '../src/index.js';
import { changeRecords } from './samples.js';

const folder = mkdtempSync(path.join(tmpdir(), 'conclave-records-'));
afterAll(() => rmSync(folder, { recursive: true }));

const header = { title: 'a change', group: 'main', time: 'wall', version: '0.1.0' } as const;

describe('a recording', () => {
  it('has all records that were written, and its header', async () => {
    const file = path.join(folder, 'whole');
    const writer = await RecordWriter.create({ file, header });
    expect(writer.write(changeRecords())).toBe(true);
    await writer.close();
    expect(await readRecording(file)).toEqual({
      header: { conclave_records: 1, ...header },
      records: changeRecords(),
      truncated: false,
    });
  });

  it('ends where its bound is reached, and says so', async () => {
    const file = path.join(folder, 'bounded');
    const writer = await RecordWriter.create({ file, header, maxBytes: 1 });
    expect(writer.write(changeRecords())).toBe(false);
    expect(writer.isFull).toBe(true);
    await writer.close();
    const { records } = await readRecording(file);
    expect(records).toMatchObject([{ kind: 'lost', text: 'the recording ends here: its file has reached its bound' }]);
  });

  it.runIf(process.platform === 'linux')('that the disk has no room for fails with its name', async () => {
    const writer = await RecordWriter.create({ file: '/dev/full', header });
    writer.write(changeRecords());
    await expect(writer.close()).rejects.toThrow('/dev/full cannot be written: no space left on device');
  });

  it('can be read up to its last flush if its writer dies', async () => {
    const file = path.join(folder, 'cut');
    const writer = await RecordWriter.create({ file, header });
    writer.write(changeRecords());
    await writer.close();
    writeFileSync(file, readFileSync(file).subarray(0, -12));
    const { records, truncated } = await readRecording(file);
    expect(truncated).toBe(true);
    expect(records.length).toBeGreaterThan(0);
  });

  it.each([
    ['text', 'hello', 'it is not a recording'],
    ['compressed text', gzipSync('hello\n'), 'line 1 is not JSON'],
    ['a newer format', gzipSync('{"conclave_records":2}\n'), 'it is not a recording, or one of a newer format'],
    ['an empty file', gzipSync(''), 'it is empty'],
    ['a record of an unknown kind', lines({ at: 1, kind: 'spell' }), 'line 2: kind: '],
    ['an event without its fields', lines(invalidEvent()), 'line 2: '],
    ['times that go back', lines(note(2), note(1)), 'line 3: its time is before that of the line above'],
  ])('is refused with a reason where it is %s', async (name, content, reason) => {
    const file = path.join(folder, name.replaceAll(' ', '-'));
    writeFileSync(file, content);
    await expect(readRecording(file)).rejects.toMatchObject({
      code: 'EINVAL',
      message: expect.stringContaining(reason),
    });
  });
});

function lines(...records: object[]): Buffer {
  const all = [{ conclave_records: 1, ...header }, ...records];
  return gzipSync(all.map((record) => `${JSON.stringify(record)}\n`).join(''));
}

function note(at: number): object {
  return { at, kind: 'note', level: 'info', text: 'a note' };
}

function invalidEvent(): object {
  return { at: 1, kind: 'event', name: 'leader_elected', body: { peer_id: 'n1', term: 1, time: 'now' } };
}

describe('the record of a message', () => {
  const sent = (name: string, body: object): SentMessage =>
    ({ peerId: 'n1', recipient: name.split('.')[0], message: { name, body }, bytes: 80 }) as unknown as SentMessage;

  it('names both actors, and has short values instead of payloads', () => {
    const body = { group_id: 'main', leader_id: 'n2', leader_term: 3, prev_index: 4, batches: [new Uint8Array(5)] };
    expect(messageRecord(7, sent('node.append_entries', body))).toEqual({
      at: 7,
      kind: 'message',
      name: 'node.append_entries',
      from: { peer: 'n2', actor: 'replicator' },
      to: { peer: 'n1', actor: 'node' },
      fields: { leader_id: 'n2', leader_term: 3, prev_index: 4, batches: '5 B' },
      bytes: 80,
    });
  });

  it('names the sender where several kinds of actor send the message', () => {
    expect(messageRecord(1, sent('log-store.read', { reader: 'replicator' })).from.actor).toBe('replicator');
    const ack = { actor: 'log-store' } as Body<'node.ack'>;
    expect(messageRecord(1, sent('node.ack', ack)).from.actor).toBe('log-store');
    expect(messageRecord(1, sent('feed.stored', { peer_id: 'n3' })).from).toEqual({ peer: 'n3', actor: 'log-store' });
  });

  it('is short however large the message is', () => {
    const huge = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`field${index}`, 'x'.repeat(10_000)]));
    const { fields } = messageRecord(1, sent('node.welcome', huge));
    expect(Object.keys(fields).length).toBe(limits.recordFields);
    expect(JSON.stringify(fields).length).toBeLessThan(limits.recordFields * (limits.recordTextLength + 20));
  });
});
