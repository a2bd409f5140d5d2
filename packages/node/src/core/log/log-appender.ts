/**
 * How a leader appends entries to its log: to the log in memory, and in one announcement to the ballot-box, to its log-store and
 * the followers that receive its feed, and to its replicators.
 *
 * Owns: nothing but the batches between `appendCommands` and `announce`. Does not own which commands are appended, and when
 * (`proposals.ts`), nor which configuration (`configuration-change.ts`).
 *
 * Invariants:
 * 1. Each entry is announced once, in the order of the log.
 * 2. A configuration is announced alone.
 */
import {
  asLogIndex,
  asTerm,
  batchHeader,
  type Configuration,
  encodeBatch,
  encodeConfigurationBatch,
  invariant,
  type LogIndex,
  peerIds,
} from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

/** A command as its client sent it, and as the state machine applies it. */
export interface AppendedCommand {
  readonly payload: Uint8Array;
  readonly command: unknown;
}

export class LogAppender {
  /** In the log, and not announced yet. */
  private batches: Uint8Array[] = [];

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly leader: {
      /** Whether the replicators get the payload of each new entry. */
      readonly needsPayload: () => boolean;
      /** A configuration has been appended and announced. */
      readonly onConfiguration: () => void;
    },
  ) {}

  /** Appends commands as one batch, which `announce` announces. Returns the size of the batch in bytes. */
  appendCommands(commands: readonly AppendedCommand[]): number {
    const { state } = this;
    const payloads = commands.map(({ payload }) => payload);
    const bytes = encodeBatch('commands', state.term, this.nextIndex, payloads, state.level);
    state.log.append({ header: batchHeader(bytes), bytes, commands: commands.map(({ command }) => command) });
    this.batches.push(bytes);
    return bytes.length;
  }

  /**
   * Announces the batches that were appended since the last announcement.
   * @param traces of the requests whose entries these are
   */
  announce(traces: string[] = []): void {
    this.announceBatches(null, traces);
  }

  /** Appends a configuration and announces it. Returns its index. */
  appendConfiguration(configuration: Configuration): LogIndex {
    const { state, context } = this;
    invariant(this.batches.length === 0, 'all commands are announced before a configuration is appended');
    const index = this.nextIndex;
    const bytes = encodeConfigurationBatch(state.term, index, configuration);
    state.log.append({ header: batchHeader(bytes), bytes });
    state.newConfigurations.add(index);
    context.event('configuration_appended', {
      peers: peerIds(configuration.peers),
      old_peers: peerIds(configuration.old_peers),
      index,
    });
    this.batches.push(bytes);
    this.announceBatches(configuration);
    this.leader.onConfiguration();
    return index;
  }

  private get nextIndex(): LogIndex {
    return asLogIndex(this.state.log.lastIndex + 1);
  }

  private announceBatches(configuration: Configuration | null, traces: string[] = []): void {
    const { state, actors, batches } = this;
    const [firstBatch] = batches;
    if (firstBatch === undefined) return;
    this.batches = [];
    const traced = traces.length === 0 ? {} : { traces };
    const first_index = batchHeader(firstBatch).first;
    const { lastIndex: last_index } = state.log;
    actors.sendFramed('ballot-box', (frame) => ({
      name: 'ballot-box.register',
      body: {
        ...actors.identity,
        ...frame,
        term: state.term,
        runs: [{ first_index, last_index, configuration }],
        ...traced,
      },
    }));
    actors.sendAppendToFeed(
      {
        group_uid: state.groupUid,
        leader_id: state.peerId,
        leader_term: state.term,
        verified_index: last_index,
        truncate_from: asLogIndex(0),
        commit_index: state.commitIndex,
        batches,
        // A leader has all that was committed before its term.
        ...(state.wasUnverified ? { verified: true } : {}),
        ...traced,
      },
      state.log.termAt(asLogIndex(first_index - 1)) ?? asTerm(0),
    );
    this.sendToReplicators(batches, traced);
  }

  private sendToReplicators(batches: readonly Uint8Array[], traced: { readonly traces?: string[] }): void {
    const { state, actors } = this;
    const runs = batches.map((batch) => {
      const { first, last } = batchHeader(batch);
      return { first_index: first, last_index: last, bytes: batch.length };
    });
    const payload = this.leader.needsPayload() ? [...batches] : [];
    actors.sendFramed(
      'replicator',
      (frame) => ({
        name: 'replicator.append',
        body: {
          ...actors.identity,
          ...frame,
          term: state.term,
          commit_index: state.commitIndex,
          runs,
          batches: payload,
          ...traced,
        },
      }),
      payload.reduce((sum, batch) => sum + batch.length, 0),
    );
  }
}
