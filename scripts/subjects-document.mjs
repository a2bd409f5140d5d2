// Renders docs/subjects.md from the protocol's tables and schemas.

/**
 * A zod schema, as far as this file looks into it.
 *
 * @typedef {{ toJSONSchema(options: object): object }} Schema
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
 * @property {Schema} WatchMessage
 * @property {Schema} KeyChange
 * @property {Record<string, { status: number, meaning: string }>} errorCodes
 * @property {Record<string, { purpose: string, request: Schema, reply: Schema }>} hostCommands
 * @property {Record<string, { purpose: string, request: Schema, reply: Schema }>} processCommands
 * @property {string} groupListToken
 * @property {Schema} GroupList
 * @property {Partial<Record<string, string>>} bundledMessages
 * @property {string} healthToken
 * @property {Schema} HealthReply
 * @property {string} metricsToken
 * @property {Schema} MetricsReply
 * @property {readonly string[]} reservedNames
 * @property {readonly string[]} actorKinds
 */

/**
 * @param {Protocol} protocol
 * @returns {string} the document, in Markdown
 */
export function subjectsDocument(protocol) {
  return `${[
    '# Subjects',
    'Generated from the schemas in `packages/protocol` by `npm run docs`; do not edit.',
    'The prefix is `conclave` unless configured. A field with a `?` is optional.',
    '## Shape',
    [
      '| subject | purpose | encoding |',
      '|---|---|---|',
      '| `conclave.<group>.<peer>.<actor>.<message>.<from>` | a message to one actor of one peer, from peer `<from>` | msgpack |',
      '| `conclave.<group>.<peer>.feed.<message>.<from>` | a message to several actors of one peer, from peer `<from>` | msgpack |',
      `| \`conclave.<group>.<peer>.<actor>.${protocol.healthToken}\` | a request to that actor | JSON or msgpack; the reply has the encoding of the request |`,
      `| \`conclave.<group>.<peer>.<actor>.${protocol.metricsToken}\` | a request to that actor | the same |`,
      '| `conclave.<group>.admin.<command>` | a request to the leader | the same |',
      '| `conclave.<group>.kv.<operation>` | a request to the leader | the same |',
      "| `conclave.<group>.<peer>.admin.<command>` | a request to that peer's node | the same |",
      "| `conclave.<group>.<peer>.kv.<operation>` | a read from that peer's node | the same |",
      '| `conclave.<group>.event.<event>.<from>` | an event of peer `<from>`, for observers | JSON |',
      '| `conclave.<group>.history.<from>` | the history that peer `<from>` leads (`HistoryAnnouncement`), about once a second, for leaders of other histories of that name, and for an earlier leader of the same history | msgpack |',
      '| `conclave.<group>.watch.<watch>` | the changes of one watch (`kv.watch`), published by the leader | as requested |',
      "| `conclave.admin.<peer>.<command>` | a request to the process of that peer's log-stores | JSON or msgpack; the reply has the encoding of the request |",
      '| `conclave.admin.<peer>.<actor>.<command>` | a request to the process that hosts that actor of the peer | the same |',
      `| \`conclave.admin.<peer>.${protocol.groupListToken}.<from>\` | the groups that the peer hosts | JSON |`,
      '| `conclave.admin.<peer>.<actor>.bundle.<from>` | small messages of several groups to that actor, or `feed`, of that peer, from peer `<from>` | msgpack |',
    ].join('\n'),
    '`<from>` is the peer that publishes, so that NATS permissions can bind a peer’s credential to its name. The reply subject of a request is an inbox: a request whose reply subject belongs to Conclave or to NATS itself (`$`) is dropped and counted, and not executed.',
    'A body whose first byte is `{` or white space is JSON, any other is msgpack, an empty one is `{}`. The msgpack is plain, without extension types, so that every language can read it. Binary is msgpack’s `bin`; in JSON it becomes base64. Integers are encoded as integers (`uint64`, `int64`), never as floats, and one that is not below 2^53 is rejected with `EINVAL`.',
    `A name (of a group, a peer) is one token: letters, digits, \`_\` and \`-\`. Reserved, and therefore not names: ${protocol.reservedNames.map((name) => `\`${name}\``).join(', ')}.`,
    '## Messages between actors',
    'Encoding: msgpack. Subject: `conclave.<group>.<peer>.`, then the name of the message and the peer that sends it. `<peer>` receives the message. A message whose body names another sender than the subject is dropped and counted.',
    messageTable(protocol),
    ...Object.entries(protocol.messages).flatMap(([name, { from, purpose, schema }]) => [
      `### \`${name}\``,
      `From: ${from}. To: ${listenersOf(name, protocol.feedListeners)}. Purpose: ${purpose}.`,
      fieldTable(schema),
    ]),
    '## Bundles',
    'A process that hosts several groups joins the small messages of its groups to one actor kind of one peer, if there are several in one turn of the event loop: `{"messages": [[name, body], ...]}`, on `conclave.admin.<peer>.<actor>.bundle.<from>`, or with `feed` in place of the actor. All other messages always have their own subjects. Bundled are:',
    Object.entries(protocol.bundledMessages)
      .map(([name, rule]) => `- \`${name}\`${rule === 'always' ? '' : ', where it has no entries'}`)
      .join('\n'),
    '## Health',
    `Request and reply on \`conclave.<group>.<peer>.<actor>.${protocol.healthToken}\`, where the actor is ${protocol.actorKinds.map((kind) => `\`${kind}\``).join(', ')}: the health of that actor.`,
    'Reply:',
    fieldTable(protocol.HealthReply),
    '## Metrics',
    `Request and reply on \`conclave.<group>.<peer>.<actor>.${protocol.metricsToken}\`: the metrics of that actor ([metrics.md](metrics.md)), and in the reply of the first actor of each group in a process those of the process. A value that is infinite is null.`,
    'Reply:',
    fieldTable(protocol.MetricsReply),
    '## Admin commands',
    'Request and reply, JSON or msgpack. On the subject of the group the leader answers.',
    ...Object.entries(protocol.adminCommands).flatMap(([name, { answeredBy, purpose, request, reply }]) => [
      `### \`admin.${name}\``,
      `Subject: ${answeredBy.map((who) => requestSubject(who, `admin.${name}`)).join(', ')}. Purpose: ${purpose}.`,
      ...requestAndReply(request, reply),
    ]),
    '## Host commands',
    'Request and reply, JSON or msgpack, answered by the process that hosts the log-stores of that peer.',
    ...Object.entries(protocol.hostCommands).flatMap(([name, { purpose, request, reply }]) => [
      `### \`${name}\``,
      `Subject: \`conclave.admin.<peer>.${name}\`. Purpose: ${purpose}.`,
      ...requestAndReply(request, reply),
    ]),
    '## Process commands',
    'Request and reply, JSON or msgpack, answered by the process that hosts that actor of the peer, of whichever groups.',
    ...Object.entries(protocol.processCommands).flatMap(([name, { purpose, request, reply }]) => [
      `### \`${name}\``,
      `Subject: \`conclave.admin.<peer>.<actor>.${name}\`. Purpose: ${purpose}.`,
      ...requestAndReply(request, reply),
    ]),
    '## Lists of groups',
    `### \`${protocol.groupListToken}\``,
    `Published on \`conclave.admin.<peer>.${protocol.groupListToken}.<peer>\` at each change and every second, as JSON: the groups that the peer hosts.`,
    fieldTable(protocol.GroupList),
    '## Key-value operations',
    'Request and reply, JSON or msgpack, answered by the leader.',
    ...Object.entries(protocol.kvOperations).flatMap(([name, { purpose, request, reply }]) => [
      `### \`kv.${name}\``,
      `Subject: ${requestSubject('group', `kv.${name}`)}. Purpose: ${purpose}.`,
      ...requestAndReply(request, reply),
    ]),
    '## Watches',
    'The leader publishes these on `conclave.<group>.watch.<watch_id>` after `kv.watch`, as JSON or msgpack like that request; about once a second also without changes. Core NATS delivers at most once, and leaders change. A client that has all changes up to revision R accepts a message whose `after` is at most R, skips the changes up to R, and then has all changes up to its `revision`. If `after` is above R, if there is an `error`, or if no message arrives for a few seconds, request the watch again, from R + 1.',
    fieldTable(protocol.WatchMessage),
    'A change is one of:',
    `\`${typeOf(protocol.KeyChange.toJSONSchema({ unrepresentable: 'any', io: 'input' }))}\``,
    '## Events',
    'Encoding: JSON. Subject: `conclave.<group>.event.`, then the name of the event and the peer that publishes it.',
    ...Object.entries(protocol.events).flatMap(([name, { purpose, schema }]) => [
      `### \`event.${name}\``,
      `Meaning: ${purpose}.`,
      fieldTable(schema),
    ]),
    '## Errors',
    'The body of a reply that is an error is `{"error": {"code", "message", "outcome", "leader_id"?}}`; the number is in the header `Nats-Service-Error-Code`.',
    [
      '| code | number | meaning |',
      '|---|---|---|',
      ...Object.entries(protocol.errorCodes).map(
        ([code, { status, meaning }]) => `| \`${code}\` | ${status} | ${meaning} |`,
      ),
    ].join('\n'),
  ].join('\n\n')}\n`;
}

/**
 * One table of all messages: sender, receivers, purpose.
 *
 * @param {Protocol} protocol
 */
function messageTable({ messages, feedListeners }) {
  return [
    '| message | from | to | purpose |',
    '|---|---|---|---|',
    ...Object.entries(messages).map(([name, { from, purpose }]) => {
      const link = `[\`${name}\`](#${name.replaceAll('.', '')})`;
      return `| ${link} | ${from} | ${listenersOf(name, feedListeners)} | ${purpose.replaceAll('|', '\\|')} |`;
    }),
  ].join('\n');
}

/**
 * @param {string} name
 * @param {Record<string, readonly string[]>} feedListeners
 */
function listenersOf(name, feedListeners) {
  return (feedListeners[name] ?? [name.split('.')[0]]).join(', ');
}

/**
 * @param {string} who
 * @param {string} name
 */
function requestSubject(who, name) {
  return who === 'peer' ? `\`conclave.<group>.<peer>.${name}\`` : `\`conclave.<group>.${name}\``;
}

/**
 * @param {Schema} request
 * @param {Schema} reply
 */
function requestAndReply(request, reply) {
  return ['Request:', fieldTable(request), 'Reply:', fieldTable(reply)];
}

/**
 * What is read of a JSON Schema.
 *
 * @typedef {object} Shape
 * @property {string} [type]
 * @property {unknown} [const]
 * @property {unknown[]} [enum]
 * @property {Shape[]} [anyOf]
 * @property {Shape[]} [oneOf]
 * @property {string} [description]
 * @property {Shape} [items]
 * @property {Shape[]} [prefixItems]
 * @property {Record<string, Shape>} [properties]
 * @property {string[]} [required]
 */

/** @param {Schema} schema */
function fieldTable(schema) {
  /** @type {Shape} */
  const shape = schema.toJSONSchema({ unrepresentable: 'any', io: 'input' });
  const fields = Object.entries(shape.properties ?? {});
  if (fields.length === 0) return shape.properties ? 'Nothing.' : `\`${typeOf(shape)}\``;
  return [
    '| field | type |',
    '|---|---|',
    ...fields.map(([name, field]) => {
      const type = typeOf(field).replaceAll('|', '\\|');
      return `| \`${name}\`${shape.required?.includes(name) ? '' : '?'} | \`${type}\` |`;
    }),
  ].join('\n');
}

/**
 * A type in TypeScript's notation; a type that JSON Schema cannot express is binary.
 *
 * @param {Shape} shape
 * @returns {string}
 */
function typeOf(shape) {
  const union = shape.anyOf ?? shape.oneOf;
  if (union !== undefined) return [...new Set(union.map(typeOf))].join(' | ');
  if (shape.const !== undefined) return JSON.stringify(shape.const);
  if (shape.enum !== undefined) return shape.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (shape.prefixItems !== undefined) return `[${shape.prefixItems.map(typeOf).join(', ')}]`;
  if (shape.type === 'array') {
    const item = typeOf(shape.items ?? {});
    return item.includes(' | ') ? `(${item})[]` : `${item}[]`;
  }
  if (shape.type === 'object') {
    const fields = Object.entries(shape.properties ?? {}).map(
      ([name, field]) => `${name}${shape.required?.includes(name) ? '' : '?'}: ${typeOf(field)}`,
    );
    return fields.length === 0 ? '{}' : `{ ${fields.join('; ')} }`;
  }
  if (Array.isArray(shape.type)) return shape.type.join(' | ');
  return shape.type ?? shape.description ?? 'binary';
}
