/** Checks calls before they go out: one that the group would refuse must not take others of its request with it. */
import {
  type AdminCommand,
  adminCommands,
  ConclaveError,
  defaultTimes,
  type ErrorBody,
  isWellFormed,
  limits,
} from '@conclave/protocol';
import type { Call } from './call.js';

/** About what the frame of one command takes in a request. */
const commandOverheadBytes = 24;

/** Commands that change nothing: asked again freely. */
const askingCommands: readonly AdminCommand[] = ['status', 'get_leader'];
/** Commands that end by their own deadline, which is that of a change of the configuration. */
const changingCommands: readonly AdminCommand[] = ['add_peer', 'remove_peer', 'change_peers', 'bootstrap'];

/** About how many bytes the call takes in a request, or why it must not be sent. */
export function sizeOrFault(call: Call): number | ErrorBody {
  if (call.operation === 'admin') {
    const parsed = adminCommands[call.command].request.safeParse(call.body);
    if (parsed.success) return 0;
    const [issue] = parsed.error.issues;
    return invalid(`${issue?.path.join('.') || 'the request'}: ${issue?.message}`);
  }
  const keyBytes = textBytes(call.key);
  if (!(keyBytes > 0 && keyBytes <= limits.keyBytes)) return invalid(`a key is text of 1 to ${limits.keyBytes} bytes`);
  if (call.operation === 'get') {
    if (call.peerId === undefined || call.consistency !== 'linearizable') return keyBytes + commandOverheadBytes;
    return invalid('only the leader confirms what it reads; another peer answers stale reads');
  }
  if (call.operation === 'delete') return keyBytes + commandOverheadBytes;
  const valueBytes = call.value instanceof Uint8Array ? call.value.length : textBytes(call.value);
  if (!(valueBytes <= limits.valueBytes))
    return invalid(`a value is text or binary of up to ${limits.valueBytes} bytes`);
  if (call.operation === 'cas' && !(Number.isSafeInteger(call.expectedRevision) && call.expectedRevision >= 0)) {
    return invalid('a revision is a whole number, 0 or above');
  }
  return keyBytes + valueBytes + commandOverheadBytes;
}

/** NaN, which no comparison lets pass, for what is no text of UTF-8; types do not hold everywhere. */
function textBytes(text: string): number {
  return typeof text === 'string' && isWellFormed(text) ? Buffer.byteLength(text) : Number.NaN;
}

function invalid(message: string): ErrorBody {
  return new ConclaveError('EINVAL', message).toBody();
}

/** Whether the call changes nothing, so that one that ends without an answer is `not_done`. */
export function onlyAsks(call: Call): boolean {
  return call.operation === 'get' || (call.operation === 'admin' && askingCommands.includes(call.command));
}

/** How long a call may take where nothing else is said: a change of the configuration takes its own time and more. */
export function timeoutOf(call: Call, timeoutMs: number): number {
  if (call.operation !== 'admin' || !changingCommands.includes(call.command)) return timeoutMs;
  const { timeout_ms } = call.body as { readonly timeout_ms?: number };
  return (timeout_ms ?? defaultTimes.changeTimeoutMs) + defaultTimes.jointTimeoutMs + timeoutMs;
}
