import type { ErrorBody, StatusReply } from '@conclave/protocol';

/**
 * A peer's reply to `status`, or the error instead of one. `reason`: if a peer does not reply, the reason in the health of its
 * node.
 */
export type PeerReply = { readonly status: StatusReply } | { readonly error: ErrorBody; readonly reason?: string };
