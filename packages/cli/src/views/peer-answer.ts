import type { ErrorBody, StatusReply } from '@conclave/protocol';

/**
 * A peer's reply to `status`, or the error instead of one. `reason`: why the health of its node is bad, of a peer that
 * does not reply.
 */
export type PeerAnswer = { readonly status: StatusReply } | { readonly error: ErrorBody; readonly reason?: string };
