// A queue of jobs: each is handed out once, in the order in which they came.
import { ConclaveError, decode, encode } from '@conclave/protocol';

/** @import { Service, StateMachine } from '@conclave/actor/core' */

/** @implements {StateMachine} */
class Jobs {
  state = { taken: 0, waiting: /** @type {string[]} */ ([]) };

  /** @type {StateMachine['apply']} */
  apply(_index, payload) {
    const { state } = this;
    const { add } = /** @type {{ add?: string }} */ (decode(payload));
    if (add !== undefined) return { number: state.taken + state.waiting.push(add) };
    const job = state.waiting.shift();
    return job === undefined ? { number: 0, job: null } : { number: ++state.taken, job };
  }

  query() {
    return { taken: this.state.taken, waiting: this.state.waiting.length };
  }

  *snapshot() {
    yield encode(this.state);
  }

  restore() {
    return {
      /** @param {Uint8Array} piece */
      take: (piece) => {
        this.state = /** @type {typeof this.state} */ (decode(piece));
      },
      end: () => undefined,
    };
  }
}

/** @type {Service} */
const service = {
  parse(operation, body) {
    const asItIs = (/** @type {unknown} */ result) => result;
    const { job } = /** @type {{ job?: unknown }} */ (body);
    switch (operation) {
      case 'add':
        if (typeof job !== 'string') throw new ConclaveError('EINVAL', 'a job is a text');
        return { type: 'write', payload: encode({ add: job }), command: undefined, reply: asItIs };
      case 'take':
        return { type: 'write', payload: encode({}), command: undefined, reply: asItIs };
      case 'count':
        return { type: 'read', consistency: undefined, query: undefined, reply: asItIs };
      default:
        throw new ConclaveError('ENOENT', `there is no operation ${operation}`);
    }
  },
};

/** What `conclave run --application` takes. */
export const application = { service, makeStateMachine: () => new Jobs() };
