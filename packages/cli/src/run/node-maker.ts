/** Creates the nodes of a process. Only a process with nodes loads this module: the nodes and the state machine are most of the code. */
import type { Actor, ActorContext, Connection, RequestServer } from '@conclave/actor';
import type { Application } from '@conclave/actor/core';
import { NodeActor, NodeCore, ProcessAppends } from '@conclave/node';
import { loadApplication } from './application.js';
import { type RunOptions, snapshotOptions } from './run-options.js';

/** The dependencies of a node besides its core. */
export interface Outside {
  readonly connection: Connection;
  readonly requests: RequestServer;
  readonly version: string;
}

export class NodeMaker {
  /** Shared by the nodes of all groups. */
  private readonly appends = new ProcessAppends();

  private constructor(
    private readonly options: RunOptions,
    private readonly application: Application,
  ) {}

  /** @throws Error if the application cannot be loaded */
  static async load(options: RunOptions): Promise<NodeMaker> {
    return new NodeMaker(options, await loadApplication(options));
  }

  make(context: ActorContext, outside: Outside): Actor {
    const { application, options } = this;
    const { groupId, peerId } = context;
    const { version } = outside;
    return new NodeActor(context, {
      ...outside,
      appends: this.appends,
      service: application.service,
      makeCore: (incarnation, timed, divergence) =>
        new NodeCore(
          { ...options, ...snapshotOptions(options), groupId, peerId, incarnation, version },
          { stateMachine: timed(application.makeStateMachine()), divergence },
        ),
    });
  }
}
