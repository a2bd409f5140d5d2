/**
 * Notes which commands were answered and which error codes were said, in whatever test, as seen by the NATS clients of the
 * tests themselves. `test/contract` compares that with the contract, once all tests have run. (A client that listened on
 * the server would do, too, but for one thing: where somebody listens, nobody is told that nobody answers.)
 */
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeRequest } from '@conclave/protocol';
import { ProtocolHandler } from '@nats-io/nats-core/internal';

/** Where the notes of one run of the tests are kept. */
const folderVariable = 'CONCLAVE_CONTRACT_RECORD';

/** Requests whose answers may still come. */
const rememberedRequests = 10_000;

/** In the set-up of a run: has its tests note what they see. Answers what removes the notes again. */
export function keepRecord(): () => void {
  if (process.env[folderVariable] !== undefined) return () => undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'conclave-contract-'));
  process.env[folderVariable] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

/** All that was noted in this run so far; nothing where it is no run that notes. */
export function recorded(): ReadonlySet<string> {
  const folder = process.env[folderVariable];
  if (folder === undefined) return new Set();
  const files = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8'));
  return new Set(files.flatMap((text) => text.split('\n')).filter((line) => line !== ''));
}

/** In each worker: notes what its NATS clients ask and are answered. */
export function noteContract(): void {
  const folder = process.env[folderVariable];
  if (folder === undefined) return;
  const notes = new Notes(path.join(folder, `${process.pid}.txt`));
  const { prototype } = ProtocolHandler;
  const { publish, processMsg } = prototype;
  prototype.publish = function (subject, payload, options) {
    if (options?.reply !== undefined) notes.onRequest(subject, options.reply);
    return publish.call(this, subject, payload, options);
  };
  prototype.processMsg = function (message, data) {
    notes.onMessage(Buffer.from(message.subject).toString(), Math.max(message.hdr, 0), data);
    return processMsg.call(this, message, data);
  };
}

class Notes {
  private readonly seen = new Set<string>();
  private readonly asked = new Map<string, string>();

  constructor(private readonly file: string) {}

  onRequest(subject: string, reply: string): void {
    const word = wordOf(subject);
    if (word === undefined) return;
    this.asked.set(reply, word);
    if (this.asked.size > rememberedRequests) this.asked.delete(this.asked.keys().next().value as string);
  }

  /** @param headerBytes of `data`, which stand in front; 0: there are none */
  onMessage(subject: string, headerBytes: number, data: Uint8Array): void {
    const word = this.asked.get(subject);
    if (word === undefined) return;
    const header = Buffer.from(data.subarray(0, headerBytes)).toString();
    const code = /^Nats-Service-Error: (\w+):/m.exec(header)?.[1];
    if (code !== undefined) return this.note(`code ${code}`);
    // NATS itself says so where nobody listens.
    if (headerBytes > 0) return;
    this.note(word);
    if (word === 'group kv.batch') this.noteResults(data);
  }

  /** The calls that a client has joined have codes of their own. */
  private noteResults(data: Uint8Array): void {
    const { results } = decodeRequest(data).value as { results?: readonly (readonly unknown[])[] };
    for (const [outcome, code] of results ?? []) if (outcome !== 'done') this.note(`code ${code}`);
  }

  private note(word: string): void {
    if (this.seen.has(word)) return;
    this.seen.add(word);
    appendFileSync(this.file, `${word}\n`);
  }
}

/** `group admin.status`, `peer kv.get`, `host admin.create_group`; undefined: it is no request of Conclave's. */
function wordOf(subject: string): string | undefined {
  const tokens = subject.split('.');
  if (tokens.length < 4 || tokens.length > 5) return undefined;
  const [door, name] = tokens.slice(-2);
  if (tokens[1] === 'admin') return `host admin.${name}`;
  if (door !== 'admin' && door !== 'kv') return undefined;
  return `${tokens.length === 4 ? 'group' : 'peer'} ${door}.${name}`;
}
