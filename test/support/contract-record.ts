/**
 * Records which commands were answered and which error codes were returned, in any test, as seen by the NATS clients of
 * the tests. `test/contract` compares the records with the contract after all tests. (A client that subscribes at the
 * server would change one thing: with a subscriber there is no `no responders`.)
 */
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { decodeRequest } from '@conclave/protocol';
import { ProtocolHandler } from '@nats-io/nats-core/internal';
import { recordFolder } from './contract-folder.js';

/** Requests whose replies may still arrive. */
const rememberedRequests = 10_000;

/** In each worker: records the requests of its NATS clients and their replies. */
export function noteContract(): void {
  const folder = recordFolder();
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
    // NATS itself replies if there is no subscriber.
    if (headerBytes > 0) return;
    this.note(word);
    if (word === 'group kv.batch') this.noteResults(data);
    else if (word === 'health') this.noteReason(data);
  }

  /** An actor that has stopped for good reports the reason only in its health. */
  private noteReason(data: Uint8Array): void {
    const { reason } = decodeRequest(data).value as { reason?: string };
    const code = /^(E[A-Z]+):/.exec(reason ?? '')?.[1];
    if (code !== undefined) this.note(`code ${code}`);
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
  const [api, name] = tokens.slice(-2);
  if (tokens[1] === 'admin') return `host admin.${name}`;
  if (name === 'health') return 'health';
  if (api !== 'admin' && api !== 'kv') return undefined;
  return `${tokens.length === 4 ? 'group' : 'peer'} ${api}.${name}`;
}
