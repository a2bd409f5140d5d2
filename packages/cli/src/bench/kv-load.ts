/** The operations of the benchmark's rows, on the keys of a set-up. */
import { ConclaveClient, type GetOptions } from '@conclave/client';
import type { GroupId } from '@conclave/protocol';
import type { CleanUp } from '../processes/clean-up.js';
import { type Mesh, peerNames } from '../processes/mesh.js';
import { type ReadKind, type SetUpName, setUps } from './rows.js';

/** Each operation has a number. Each number has a key, and each key belongs to one group. */
export class KvLoad {
  private isFilled = false;
  private readonly keys: number;
  private readonly value: Uint8Array;

  private constructor(
    private readonly clients: readonly ConclaveClient[],
    private readonly setUp: SetUpName,
  ) {
    const { keys, valueBytes } = setUps[setUp];
    this.keys = keys;
    this.value = new Uint8Array(valueBytes).fill(0x78);
  }

  static async connect(cleanUp: CleanUp, mesh: Mesh, groups: readonly GroupId[], setUp: SetUpName): Promise<KvLoad> {
    const { connection, subjects } = mesh.adminClient;
    const clients: ConclaveClient[] = [];
    for (const group of groups) {
      const client = await ConclaveClient.connect({ connection, groupId: group, prefix: subjects.prefix });
      cleanUp.add(() => client.close());
      clients.push(client);
    }
    return new KvLoad(clients, setUp);
  }

  readonly put = (number: number): Promise<unknown> => {
    const key = number % this.keys;
    return this.clientOf(key).kv.put(`key-${key}`, this.value);
  };

  /** Returns reads of this kind, after each key was written. */
  async reader(kind: ReadKind): Promise<(number: number) => Promise<unknown>> {
    if (!this.isFilled) await Promise.all(Array.from({ length: this.keys }, (_, number) => this.put(number)));
    this.isFilled = true;
    const { leader_id: leader } = await this.clientOf(0).admin.status();
    const follower = peerNames(setUps[this.setUp].peers).find((peer) => peer !== leader) ?? leader;
    const how = {
      linearizable: {},
      lease: { consistency: 'lease' },
      follower: { consistency: 'linearizable', peerId: follower },
      stale: { consistency: 'stale', peerId: follower },
    } as const satisfies Record<ReadKind, GetOptions>;
    return (number) => {
      const key = number % this.keys;
      return this.clientOf(key).kv.get(`key-${key}`, how[kind]);
    };
  }

  private clientOf(key: number): ConclaveClient {
    return this.clients[key % this.clients.length] as ConclaveClient;
  }
}
