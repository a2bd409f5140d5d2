/**
 * The ids of leases.
 *
 * A lease has a number, which all clients may see. From feature level 1 on it also has a secret: its id is `<number>.<secret>`, and the group
 * returns that to the client that was granted the lease. Keeping, ending or using the lease needs the complete id. A lease without a secret
 * has its number as its id: at level 0 all leases, later those that clients of the first version were granted, as these expect a number.
 */
import { z } from 'zod';

const secretLength = 22;

const LeaseNumber = z.number().int().min(1);
const WithSecret = z.string().regex(new RegExp(`^[1-9][0-9]{0,15}\\.[A-Za-z0-9_-]{${secretLength}}$`));

/** The complete id, which only the holder of a lease with a secret has. */
export const LeaseId = z.union([LeaseNumber, WithSecret]);
export type LeaseId = z.infer<typeof LeaseId>;

/** The number of a lease, without its secret. */
export const PublicLeaseId = LeaseNumber;
export type PublicLeaseId = z.infer<typeof PublicLeaseId>;

/** @param generateId returns at least 22 characters of `A-Za-z0-9_-` that nobody can guess. @returns a new secret */
export function newLeaseSecret(generateId: () => string): string {
  return generateId().slice(0, secretLength);
}

/** @returns the complete id of a lease with this number and secret; empty: it has none */
export function leaseIdOf(number: PublicLeaseId, secret: string): LeaseId {
  return secret === '' ? number : `${number}.${secret}`;
}

/** @returns the number of a lease */
export function publicPartOf(leaseId: LeaseId): PublicLeaseId {
  return typeof leaseId === 'number' ? leaseId : Number(leaseId.slice(0, leaseId.indexOf('.')));
}

/** @returns the secret part of an id; empty: it has none */
export function secretPartOf(leaseId: LeaseId): string {
  return typeof leaseId === 'number' ? '' : leaseId.slice(leaseId.indexOf('.') + 1);
}
