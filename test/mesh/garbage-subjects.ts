/** The subjects of requests, and the expected errors for garbage. */
import {
  adminCommands,
  decodeRequest,
  ErrorReply,
  encodingOf,
  errorCodes,
  isAdminCommand,
  isKvOperation,
  kvOperations,
  limits,
} from '@conclave/protocol';
import type { Msg } from 'nats';
import { expect } from 'vitest';
import type { z } from 'zod';

export interface Endpoint {
  readonly subject: string;
  readonly command: string;
  readonly request: z.ZodType | undefined;
  /** Whether a valid request does no harm. */
  readonly harmless: boolean;
}

const asked = (command: string) => {
  if (isAdminCommand(command)) return adminCommands[command].request;
  return isKvOperation(command) ? kvOperations[command].request : undefined;
};

/** Every command and operation on every subject, and unknown names. */
export function endpoints(): Endpoint[] {
  const at = (endpoint: 'admin' | 'kv', commands: readonly string[]) =>
    ['', 'n1.', 'n2.', 'n3.'].flatMap((peer) =>
      commands.map((command) => ({
        subject: `conclave.main.${peer}${endpoint}.${command}`,
        command,
        request: asked(command),
        harmless: [
          'status',
          'get_leader',
          'cancel_change',
          'get',
          'batch_get',
          'range',
          'lease_get',
          'lease_list',
          'lock_get',
          'open_session',
        ].includes(command),
      })),
    );
  return [
    ...at('admin', [...Object.keys(adminCommands), 'nonsense', 'constructor', '__proto__']),
    ...at('kv', [...Object.keys(kvOperations), 'nonsense', 'constructor', '__proto__']),
  ];
}

/** Whether the body is none that has to be refused. */
export function isAccepted({ request }: Endpoint, data: Uint8Array): boolean {
  try {
    return request?.safeParse(decodeRequest(data).value).success === true && data.length <= limits.messageBytes;
  } catch {
    return false;
  }
}

/** An error with a code of Conclave's, in the body and in the headers, in the encoding of the request. */
export function expectError(what: string, request: Uint8Array, reply: Msg): void {
  expect(encodingOf(reply.data), what).toBe(encodingOf(request));
  const parsed = ErrorReply.safeParse(decodeRequest(reply.data).value);
  expect(parsed.success, `${what} is answered with ${reply.string().slice(0, 200)}`).toBe(true);
  const { code, outcome, message } = parsed.data?.error ?? { code: 'ESHUTDOWN', outcome: '', message: '' };
  expect(['EINVAL', 'ENOENT', 'EPERM'], `${what}: ${message}`).toContain(code);
  expect(outcome, what).toBe('not_done');
  expect(reply.headers?.get('Nats-Service-Error-Code'), what).toBe(String(errorCodes[code].status));
  expect(reply.headers?.get('Nats-Service-Error'), what).toContain(code);
}
