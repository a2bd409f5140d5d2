/** Leases of keys and locks, and the digest by which states are compared. */

const machine = 'packages/kv/src/core/kv-state-machine.ts';
const leasesFile = 'packages/kv/src/core/leases.ts';
const keySpace = 'packages/kv/src/core/key-space.ts';
const locks = 'packages/kv/src/core/locks.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const leases = [
  {
    id: 'kept-lease-ends-by-an-older-entry',
    rule: 'An entry ends a lease only if no client has kept it since the entry was proposed.',
    edits: [{ file: machine, find: '      if (!this.keys.leases.isDue(leaseId, keptIndex)) continue;\n', replace: '' }],
    seeds: 100,
  },
  {
    id: 'keep-does-not-restart-the-time',
    rule: 'A lease ends once no client has kept it for its time.',
    edits: [
      {
        file: leasesFile,
        find: 'if (renewed || lease.seenIndex !== lease.keptIndex) {',
        replace: 'if (renewed || lease.seenIndex === 0) {',
      },
    ],
    seeds: 60,
  },
  {
    id: 'keys-survive-their-lease',
    rule: 'With a lease its keys are deleted.',
    edits: [
      {
        file: keySpace,
        find: '      this.remove(stored);\n      this.written.addDelete(stored.key);\n    }\n    this.locks.release(leaseId);',
        replace: '      this.retie(stored, 0);\n    }\n    this.locks.release(leaseId);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'keep-revives-a-lease',
    rule: 'A lease that has ended does not come back.',
    edits: [
      {
        file: leasesFile,
        find: '    const fault = this.faultOf(leaseId);\n    if (fault !== undefined) return fault;\n    const lease = this.at(',
        replace:
          '    const fault = this.faultOf(leaseId);\n    const name = publicPartOf(leaseId);\n    if (this.at(name) === undefined) {\n      this.add(name, newLease(index, 1000, secretPartOf(leaseId)));\n      return 1000;\n    }\n    if (fault !== undefined) return fault;\n    const lease = this.at(',
      },
    ],
    seeds: 60,
  },
  {
    id: 'unlock-without-the-secret',
    rule: 'Only a client that proves that it is the holder can release a lock.',
    edits: [
      {
        file: locks,
        find: "    if (by === undefined && this.leases.at(lock.holder.leaseId)?.secret !== '') return 'no_proof';\n",
        replace: '',
      },
    ],
    seeds: 100,
  },
  {
    id: 'locks-passed-on-in-insertion-order',
    rule: 'The locks of a lease that ends are passed on in an order that each replica has, also from a snapshot.',
    edits: [
      {
        file: locks,
        find: '[...(this.leases.at(leaseId)?.locks ?? [])].sort(compareKeys)',
        replace: '[...(this.leases.at(leaseId)?.locks ?? [])]',
      },
    ],
    seeds: 200,
  },
  {
    id: 'snapshot-without-waiting-clients',
    rule: 'A snapshot has the whole state: of a lock, also the clients that wait for it.',
    edits: [
      {
        file: locks,
        find: 'return [name, token, rowOf(holder), waiting.map(rowOf)];',
        replace: 'return [name, token, rowOf(holder), waiting.slice(1).map(rowOf)];',
      },
    ],
    seeds: 100,
  },
  {
    id: 'digest-forgets-locks',
    rule: 'Members compare digests of their whole state.',
    edits: [{ file: machine, find: '    sum.addAll(keys.locks.changed.digest);\n', replace: '' }],
    seeds: 0,
    test: 'packages/kv/test/state-digest.test.ts',
    why: 'a lock that is corrupted in memory rarely lasts until the end of a run',
  },
];
