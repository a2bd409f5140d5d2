/**
 * The ids of leases.
 *
 * From feature level 1 on an id has two random parts, `<public>.<secret>`. The group returns the complete id to the client that was granted
 * the lease; keeping, ending or using the lease needs the complete id. Everybody else sees the public part. At level 0 an id is a number,
 * which is both. A group can have leases of both kinds.
 */
import { z } from 'zod';

const publicLength = 12;
const secretLength = 22;

const PublicPart = z.string().regex(new RegExp(`^[A-Za-z0-9_-]{${publicLength}}$`));
const WholeText = z.string().regex(new RegExp(`^[A-Za-z0-9_-]{${publicLength}}\\.[A-Za-z0-9_-]{${secretLength}}$`));
const LeaseNumber = z.number().int().min(1);

/** The complete id, which only the holder of the lease has. */
export const LeaseId = z.union([LeaseNumber, WholeText]);
export type LeaseId = z.infer<typeof LeaseId>;

/** The public part of the id. */
export const PublicLeaseId = z.union([LeaseNumber, PublicPart]);
export type PublicLeaseId = z.infer<typeof PublicLeaseId>;

/** Either of them. */
export const AnyLeaseId = z.union([LeaseNumber, WholeText, PublicPart]);
export type AnyLeaseId = z.infer<typeof AnyLeaseId>;

/** @param generateId returns at least 22 characters of `A-Za-z0-9_-` that nobody can guess. @returns a new complete id */
export function newLeaseId(generateId: () => string): string {
  return `${generateId().slice(0, publicLength)}.${generateId().slice(0, secretLength)}`;
}

/** @returns the public part of an id */
export function publicPartOf(leaseId: AnyLeaseId): PublicLeaseId {
  return typeof leaseId === 'number' ? leaseId : leaseId.slice(0, publicLength);
}

/** @returns the secret part of an id; empty: it has none */
export function secretPartOf(leaseId: AnyLeaseId): string {
  return typeof leaseId === 'number' ? '' : leaseId.slice(publicLength + 1);
}
