/** The requests of the page, validated. */
import { adminCommands, ConclaveError, formatIssues, PeerId } from '@conclave/protocol';
import { z } from 'zod';
import type { ControlValue } from '../source/view-source.js';
import type { Action } from './confirmed-actions.js';

/** The admin commands of the page. The others are for the command line, whose help describes what is lost by them. */
const offered = ['change_peers', 'cancel_change', 'transfer_leader', 'snapshot', 'read_only'] as const;

const ActionRequest = z.object({
  command: z.enum(offered),
  peer: z.union([PeerId, z.literal('')]),
  request: z.record(z.string(), z.unknown()),
});

const Control = z.object({
  command: z.string(),
  parameters: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])),
});

/** @throws ConclaveError EINVAL */
export function parseAction(value: unknown): Action {
  const action = parsed(ActionRequest, value);
  const command = adminCommands[action.command];
  const request = parsed(command.request as z.ZodType<Record<string, unknown>>, action.request);
  if (!(command.answeredBy as readonly string[]).includes(action.peer === '' ? 'group' : 'peer')) {
    throw new ConclaveError(
      'EINVAL',
      `${action.command} is sent ${action.peer === '' ? 'to a peer' : 'to the leader'}`,
    );
  }
  return { command: action.command, peer: action.peer, request };
}

/** @throws ConclaveError EINVAL */
export function parseConfirmation(value: unknown): { token: string; action: Action } {
  const { token, action } = parsed(z.object({ token: z.string(), action: z.unknown() }), value);
  return { token, action: parseAction(action) };
}

/** @throws ConclaveError EINVAL */
export function parseControl(value: unknown): { command: string; parameters: Record<string, ControlValue> } {
  return parsed(Control, value);
}

/** What the user is asked to confirm. */
export function actionText({ command, peer, request }: Action): string {
  switch (command) {
    case 'change_peers':
      return `Change the members of the group to {${(request.new_peers as string[]).join(', ')}}.`;
    case 'cancel_change':
      return 'Cancel the membership change in progress.';
    case 'transfer_leader':
      return `Transfer the leadership to ${String(request.peer_id ?? 'the most up-to-date peer')}.`;
    case 'snapshot':
      return `Take a snapshot of ${peer} and compact its log.`;
    default:
      return `Make ${peer} ${request.read_only === true ? 'read-only' : 'store entries again'}.`;
  }
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ConclaveError('EINVAL', formatIssues(result.error.issues));
}
