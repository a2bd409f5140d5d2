/** Linearizable reads, and what a leader may say while it is not confirmed. */

const node = 'packages/node/src/core/node-core.ts';
const rounds = 'packages/node/src/core/reads.ts';
const leadership = 'packages/node/src/core/leadership.ts';
const ticks = 'packages/ballot-box/src/core/tick-rounds.ts';

/** @type {import('./mutation.mjs').Mutation[]} */
export const reads = [
  {
    id: 'read-not-confirmed',
    rule: 'A linearizable read is confirmed by a round of echoes. It is answered at once, by whoever thinks that it leads.',
    edits: [
      {
        file: node,
        find: 'this.reads.read(requestId, query);',
        replace: 'context.reply(requestId, this.stateMachine.query(query));',
      },
      {
        file: node,
        find: 'if (this.isLeader() && this.leadership.isConfirmed()) return true;',
        replace: 'if (this.isLeader()) return true;',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-confirmed-by-an-older-round',
    rule: 'A read is confirmed ... only by a round that began after it arrived.',
    edits: [
      {
        file: rounds,
        find: 'this.rounds.push({\n      tickId,',
        replace: 'this.rounds.push({\n      tickId: tickId - 10,',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-before-own-term-commit',
    rule: "A linearizable read needs a committed entry of the leader's own term.",
    edits: [
      {
        file: node,
        find: 'if (this.change.isFlushed) this.reads.beginRound(tick_id);',
        replace: 'this.reads.beginRound(tick_id);',
      },
      {
        file: node,
        find: 'if (this.change.isFlushed && this.reads.wantsRound) this.beginRound();',
        replace: 'if (this.reads.wantsRound) this.beginRound();',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-before-it-is-applied',
    rule: "A linearizable read ... takes the node's commit index: it waits until that is applied.",
    edits: [
      {
        file: rounds,
        find: 'if (!isOver(round) || round.readIndex > this.state.appliedIndex) return;',
        replace: 'if (!isOver(round)) return;',
      },
    ],
    seeds: 100,
  },
  {
    id: 'one-echo-confirms',
    rule: 'A read is confirmed by a quorum of echoes. One is enough.',
    edits: [
      {
        file: ticks,
        find: 'const tick = quorumValue(configuration, (member) => (this.isLeader(member) ? Infinity : this.echoes.of(member)));',
        replace:
          'const heard = configuration.peers.filter((member) => !this.isLeader(member)).map((member) => this.echoes.of(member));\n    const tick = heard.length === 0 ? quorumValue(configuration, () => Infinity) : Math.max(...heard);',
      },
    ],
    seeds: 60,
  },
  {
    id: 'read-without-the-own-session',
    rule: 'A leader counts itself in a read only while its session is in force: a second node of its peer may have voted.',
    edits: [{ file: rounds, find: 'inForce: false,', replace: 'inForce: true,' }],
    seeds: 60,
  },
  {
    id: 'lease-from-the-echo',
    rule: "A leader lease runs from the tick's send time.",
    edits: [
      {
        file: leadership,
        find: 'this.confirmedMs = this.sentMs.get(tickId) ?? this.confirmedMs;',
        replace: 'this.confirmedMs = this.context.nowMs;',
      },
    ],
    seeds: 60,
  },
];
