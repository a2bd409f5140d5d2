// Renders docs/asyncapi.json and the JSON Schemas of `@conclave/protocol` from its tables and schemas.

/**
 * A zod schema, as far as this file looks into it.
 *
 * @typedef {{ _zod: { def: { type: string } }, toJSONSchema(options: object): Record<string, unknown> }} Schema
 */

/**
 * The tables of `@conclave/protocol` that are rendered.
 *
 * @typedef {object} Protocol
 * @property {Record<string, { from: string, purpose: string, schema: Schema }>} messages
 * @property {Record<string, readonly string[]>} feedListeners
 * @property {Record<string, { answeredBy: readonly string[], purpose: string, request: Schema, reply: Schema }>} adminCommands
 * @property {Record<string, { purpose: string, request: Schema, reply: Schema }>} kvOperations
 * @property {Record<string, { purpose: string, schema: Schema }>} events
 * @property {Record<string, { purpose: string, request: Schema, reply: Schema }>} hostCommands
 * @property {Record<string, { purpose: string, request: Schema, reply: Schema }>} processCommands
 * @property {readonly string[]} peerOperations
 * @property {Schema} WatchMessage
 * @property {Schema} GroupList
 * @property {Schema} HealthReply
 * @property {Schema} MetricsReply
 * @property {Schema} HistoryAnnouncement
 * @property {Schema} ErrorReply
 * @property {string} groupListToken
 * @property {readonly string[]} actorKinds
 * @property {new (prefix: string) => unknown} Subjects
 */

/**
 * @typedef {object} SubjectsOf
 * @property {(address: { groupId: string, peerId: string, recipient: string }, message: string, from: string) => string} message
 * @property {(address: { groupId: string, peerId: string, recipient: string }) => string} health
 * @property {(address: { groupId: string, peerId: string, recipient: string }) => string} metrics
 * @property {(groupId: string, api: string, name: string) => string} groupRequest
 * @property {(groupId: string, peerId: string, api: string, name: string) => string} peerRequest
 * @property {(groupId: string, event: string, from: string) => string} event
 * @property {(groupId: string, watchId: string) => string} watch
 * @property {(groupId: string, peerId: string) => string} historyAnnouncement
 * @property {(peerId: string, name: string) => string} host
 * @property {(peerId: string, actor: string, name: string) => string} process
 */

/** Where names are in an address. */
const [group, peer, from] = ['{group}', '{peer}', '{from}'];

const msgpack = 'application/msgpack';
const json = 'application/json';

/**
 * The JSON Schema (draft 7) of a schema. Bytes are msgpack's `bin`, and base64 in JSON.
 *
 * @param {Schema} schema
 */
function jsonSchemaOf(schema) {
  const { $schema: _, ...shape } = schema.toJSONSchema({
    target: 'draft-7',
    io: 'input',
    unrepresentable: 'any',
    /** @param {{ zodSchema: Schema, jsonSchema: object }} context */
    override({ zodSchema, jsonSchema }) {
      if (zodSchema._zod.def.type !== 'custom') return;
      Object.assign(jsonSchema, { type: 'string', contentEncoding: 'base64', description: 'binary; in JSON base64' });
    },
  });
  return shape;
}

/**
 * The schemas of all that is public, by name: `node.append_entries`, `admin.status.request`, `event.leader_elected`.
 *
 * @param {Protocol} protocol
 */
function namedSchemas(protocol) {
  /** @type {Record<string, Schema>} */
  const named = {};
  for (const [name, { schema }] of Object.entries(protocol.messages)) named[name] = schema;
  for (const [name, { schema }] of Object.entries(protocol.events)) named[`event.${name}`] = schema;
  for (const [kind, table] of Object.entries({
    admin: protocol.adminCommands,
    host: protocol.hostCommands,
    process: protocol.processCommands,
    kv: protocol.kvOperations,
  })) {
    for (const [name, { request, reply }] of Object.entries(table)) {
      named[`${kind}.${name}.request`] = request;
      named[`${kind}.${name}.reply`] = reply;
    }
  }
  named.watch = protocol.WatchMessage;
  named['health.reply'] = protocol.HealthReply;
  named['metrics.reply'] = protocol.MetricsReply;
  named.history = protocol.HistoryAnnouncement;
  named[protocol.groupListToken] = protocol.GroupList;
  named.error = protocol.ErrorReply;
  return named;
}

/**
 * @param {Protocol} protocol
 * @returns {Record<string, object>} the JSON Schemas, by name
 */
function jsonSchemas(protocol) {
  const named = Object.entries(namedSchemas(protocol));
  return Object.fromEntries(named.map(([name, schema]) => [name, jsonSchemaOf(schema)]));
}

/**
 * The JSON Schemas that `@conclave/protocol` ships.
 *
 * @param {Protocol} protocol
 */
export function schemasDocument(protocol) {
  const definitions = jsonSchemas(protocol);
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', definitions }, undefined, 2)}\n`;
}

/** One AsyncAPI document, while it is put together. */
class Document {
  /** @type {Record<string, object>} */
  channels = {};
  /** @type {Record<string, object>} */
  operations = {};
  /** @type {Record<string, object>} */
  messages = {};

  /**
   * A channel with messages of one direction.
   *
   * @param {string} id
   * @param {string} address
   * @param {string} summary
   * @param {readonly string[]} names of messages
   */
  channel(id, address, summary, names) {
    const messages = Object.fromEntries(names.map((name) => [name, { $ref: `#/components/messages/${name}` }]));
    this.channels[id] = { address, summary, parameters: parametersOf(address), messages };
  }

  /**
   * Conclave publishes these.
   *
   * @param {string} name of the message, and of its schema
   * @param {string} address
   * @param {string} summary
   * @param {string} contentType
   */
  published(name, address, summary, contentType) {
    this.message(name, summary, contentType);
    this.channel(name, address, summary, [name]);
    this.operations[name] = { action: 'send', channel: { $ref: `#/channels/${name}` }, summary };
  }

  /**
   * Conclave answers these.
   *
   * @param {string} id
   * @param {string} schemas the name before `.request` and `.reply`
   * @param {string} address
   * @param {string} summary
   */
  answered(id, schemas, address, summary) {
    const [request, reply] = [`${schemas}.request`, `${schemas}.reply`];
    const replies = `${id}.reply`;
    this.message(request, summary, msgpack);
    this.message(reply, `the reply to ${schemas}`, msgpack);
    this.channel(id, address, summary, [request]);
    this.channels[replies] = {
      address: null,
      summary: 'the reply subject of the request: an inbox',
      messages: {
        [reply]: { $ref: `#/components/messages/${reply}` },
        error: { $ref: '#/components/messages/error' },
      },
    };
    this.operations[id] = {
      action: 'receive',
      channel: { $ref: `#/channels/${id}` },
      summary,
      reply: {
        channel: { $ref: `#/channels/${replies}` },
        address: { location: '$message.header#/reply', description: 'the reply subject of the NATS message' },
      },
    };
  }

  /**
   * @param {string} name
   * @param {string} summary
   * @param {string | undefined} contentType
   */
  message(name, summary, contentType) {
    this.messages[name] = { name, summary, contentType, payload: { $ref: `#/components/schemas/${name}` } };
  }
}

/** @param {string} address */
function parametersOf(address) {
  const names = [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => /** @type {string} */ (name));
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/parameters/${name}` }]));
}

/**
 * @param {Protocol} protocol
 * @param {string} version of the package
 * @returns {string} the document: AsyncAPI 3, in JSON
 */
export function asyncapiDocument(protocol, version) {
  const document = new Document();
  const subjects = /** @type {SubjectsOf} */ (new protocol.Subjects('conclave'));
  addMessages(document, subjects, protocol);
  addRequests(document, subjects, protocol);
  addPublications(document, subjects, protocol);
  document.message('error', 'the body of a reply that is an error', msgpack);
  const schemas = jsonSchemas(protocol);
  // Requests for the health and the metrics of an actor are empty.
  schemas['health.request'] = { type: 'object' };
  schemas['metrics.request'] = { type: 'object' };
  return `${JSON.stringify(
    {
      asyncapi: '3.0.0',
      info: {
        title: 'Conclave',
        version,
        description:
          'Raft as an actor mesh over NATS. The prefix `conclave` of all subjects can be configured. Where a content type is msgpack, requests may also be JSON: the reply has the encoding of the request. Messages between actors and events are for observers: clients send requests only. See docs/subjects.md.',
        license: { name: 'Apache-2.0' },
      },
      defaultContentType: msgpack,
      servers: { nats: { host: '127.0.0.1:4222', protocol: 'nats', description: 'a NATS server of the user' } },
      channels: document.channels,
      operations: document.operations,
      components: { parameters: parameters(protocol), messages: document.messages, schemas },
    },
    undefined,
    1,
  )}\n`;
}

/** @param {Protocol} protocol */
function parameters({ actorKinds }) {
  return {
    group: { description: 'the name of a group' },
    peer: { description: 'the name of the peer that receives it, or that the request is for' },
    from: { description: 'the name of the peer that publishes it' },
    actor: { description: 'an actor of the peer', enum: [...actorKinds] },
    owner: { description: 'the token of the client that has the watch' },
    watch: { description: 'the id of the watch' },
  };
}

/**
 * Messages between actors.
 *
 * @param {Document} document
 * @param {SubjectsOf} subjects
 * @param {Protocol} protocol
 */
function addMessages(document, subjects, { messages }) {
  for (const [name, { purpose }] of Object.entries(messages)) {
    const [recipient = '', message = ''] = name.split('.');
    const address = subjects.message({ groupId: group, peerId: peer, recipient }, message, from);
    document.published(name, address, purpose, msgpack);
  }
}

/**
 * Requests of clients and operators.
 *
 * @param {Document} document
 * @param {SubjectsOf} subjects
 * @param {Protocol} protocol
 */
function addRequests(
  document,
  subjects,
  { adminCommands, hostCommands, processCommands, kvOperations, peerOperations },
) {
  for (const [name, { answeredBy, purpose }] of Object.entries(adminCommands)) {
    const schemas = `admin.${name}`;
    if (answeredBy.includes('group')) {
      document.answered(schemas, schemas, subjects.groupRequest(group, 'admin', name), purpose);
    }
    if (answeredBy.includes('peer')) {
      document.answered(`peer.${schemas}`, schemas, subjects.peerRequest(group, peer, 'admin', name), purpose);
    }
  }
  for (const [name, { purpose }] of Object.entries(kvOperations)) {
    const schemas = `kv.${name}`;
    document.answered(schemas, schemas, subjects.groupRequest(group, 'kv', name), purpose);
    if (peerOperations.includes(name)) {
      document.answered(`peer.${schemas}`, schemas, subjects.peerRequest(group, peer, 'kv', name), purpose);
    }
  }
  for (const [name, { purpose }] of Object.entries(hostCommands)) {
    document.answered(`host.${name}`, `host.${name}`, subjects.host(peer, name), purpose);
  }
  for (const [name, { purpose }] of Object.entries(processCommands)) {
    document.answered(`process.${name}`, `process.${name}`, subjects.process(peer, '{actor}', name), purpose);
  }
  const health = subjects.health({ groupId: group, peerId: peer, recipient: '{actor}' });
  document.answered('health', 'health', health, 'the health of one actor');
  const metrics = subjects.metrics({ groupId: group, peerId: peer, recipient: '{actor}' });
  document.answered('metrics', 'metrics', metrics, 'the metrics of one actor, and of its process');
}

/**
 * What else is published, for observers, clients and other peers.
 *
 * @param {Document} document
 * @param {SubjectsOf} subjects
 * @param {Protocol} protocol
 */
function addPublications(document, subjects, { events, groupListToken }) {
  for (const [name, { purpose }] of Object.entries(events)) {
    document.published(`event.${name}`, subjects.event(group, name, from), purpose, json);
  }
  const watch = subjects.watch(group, '{owner}.{watch}');
  document.published('watch', watch, 'the changes of one watch, encoded as its request was', msgpack);
  const history = subjects.historyAnnouncement(group, from);
  document.published('history', history, 'the history that the peer leads', msgpack);
  const groups = subjects.host(peer, `${groupListToken}.${from}`);
  document.published(groupListToken, groups, 'the groups that the peer hosts', json);
}
