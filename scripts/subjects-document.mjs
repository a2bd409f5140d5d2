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
 * @property {string} groupListWord
 * @property {Schema} GroupList
 * @property {Partial<Record<string, string>>} bundledMessages
 * @property {string} healthWord
 * @property {Schema} HealthReply
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
    'The prefix is `conclave` unless configured. A field with a `?` may be left out.',
    '## Shape',
    [
      '| subject | what it is | encoding |',
      '|---|---|---|',
      '| `conclave.<group>.<peer>.<actor>.<message>.<from>` | to that actor of that peer, from peer `<from>` | msgpack |',
      '| `conclave.<group>.<peer>.feed.<message>.<from>` | to several actors of that peer at once, from peer `<from>` | msgpack |',
      `| \`conclave.<group>.<peer>.<actor>.${protocol.healthWord}\` | request, answered by that actor | JSON or msgpack, reply in kind |`,
      '| `conclave.<group>.admin.<command>` | request, answered by the leader | JSON or msgpack, reply in kind |',
      '| `conclave.<group>.kv.<operation>` | request, answered by the leader | the same |',
      "| `conclave.<group>.<peer>.admin.<command>` | request, answered by that peer's node | the same |",
      "| `conclave.<group>.<peer>.kv.<operation>` | stale reads, answered by that peer's node | the same |",
      '| `conclave.<group>.event.<event>.<from>` | published for observers by peer `<from>` | JSON |',
      '| `conclave.<group>.history.<from>` | which history peer `<from>` leads (`LedHistory`), about once a second, for leaders of other histories under that name | msgpack |',
      '| `conclave.<group>.watch.<watch>` | what changes, published by the leader for who asked for it (`kv.watch`) | as it was asked for |',
      "| `conclave.admin.<peer>.<command>` | request, answered by the process of that peer's log-stores | JSON or msgpack, reply in kind |",
      `| \`conclave.admin.<peer>.${protocol.groupListWord}.<from>\` | the groups that peer hosts | JSON |`,
      '| `conclave.admin.<peer>.<actor>.bundle.<from>` | small messages of several groups to that actor, or `feed`, of that peer, from peer `<from>` | msgpack |',
    ].join('\n'),
    '`<from>` is the peer that publishes, so that permissions of NATS bind a peer’s credential to its name. A request names an inbox for its reply: one whose reply would go to a subject of Conclave’s or of NATS’s (`$`) is dropped and counted, and not carried out.',
    'A body whose first byte is `{` or white space is JSON, any other is msgpack, an empty one is `{}`. The msgpack is plain: no extension types, so that any language reads it. Binary is msgpack’s `bin`; in JSON it becomes base64. Integers are encoded as integers (`uint64`, `int64`), never as floats, and one that is not below 2^53 is refused with `EINVAL`.',
    `A name (of a group, a peer) is one token: letters, digits, \`_\` and \`-\`. Reserved, and so no names: ${protocol.reservedNames.map((name) => `\`${name}\``).join(', ')}.`,
    '## Messages between actors',
    'msgpack, on `conclave.<group>.<peer>.`, the name, and the peer that sends it. `<peer>` is the one that receives the message. A message whose body names another sender than the subject is dropped and counted.',
    messageTable(protocol),
    ...Object.entries(protocol.messages).flatMap(([name, { from, purpose, schema }]) => [
      `### \`${name}\``,
      `From: ${from}. To: ${listenersOf(name, protocol.feedListeners)}. Purpose: ${purpose}.`,
      fieldTable(schema),
    ]),
    '## Bundles',
    'A process that hosts several groups sends the small messages of its groups to one actor kind of one peer as one, when there are several in a turn: `{"messages": [[name, body], ...]}`, on `conclave.admin.<peer>.<actor>.bundle.<from>`, or `feed` in place of the actor. All others have subjects of their own always. Bundled are:',
    Object.entries(protocol.bundledMessages)
      .map(([name, rule]) => `- \`${name}\`${rule === 'always' ? '' : ', where it has no entries'}`)
      .join('\n'),
    '## Health',
    `Request and reply, on \`conclave.<group>.<peer>.<actor>.${protocol.healthWord}\`, where the actor is ${protocol.actorKinds.map((kind) => `\`${kind}\``).join(', ')}: how that actor is.`,
    'Reply:',
    fieldTable(protocol.HealthReply),
    '## Admin commands',
    'Request and reply, JSON or msgpack. Where the group answers, it is by its leader.',
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
    `### \`${protocol.groupListWord}\``,
    `Published on \`conclave.admin.<peer>.${protocol.groupListWord}.<peer>\` at each change and every second, as JSON: the groups that the peer hosts.`,
    fieldTable(protocol.GroupList),
    '## Key-value operations',
    'Request and reply, JSON or msgpack, answered by the leader.',
    ...Object.entries(protocol.kvOperations).flatMap(([name, { purpose, request, reply }]) => [
      `### \`kv.${name}\``,
      `Subject: ${requestSubject('group', `kv.${name}`)}. Purpose: ${purpose}.`,
      ...requestAndReply(request, reply),
    ]),
    '## Watches',
    'Published by the leader on `conclave.<group>.watch.<watch_id>` after `kv.watch`, JSON or msgpack as that came; about once a second also where nothing has changed. Core NATS delivers at most once, and leaders change: who has all up to revision R takes a message whose `after` is R or below, without the changes up to R, and is at its `revision` then. With `after` above R, with an `error`, or where nothing comes for a few seconds, ask again, from R + 1.',
    fieldTable(protocol.WatchMessage),
    'A change is one of:',
    `\`${typeOf(protocol.KeyChange.toJSONSchema({ unrepresentable: 'any', io: 'input' }))}\``,
    '## Events',
    'JSON, for observers, on `conclave.<group>.event.`, the name, and the peer that publishes it.',
    ...Object.entries(protocol.events).flatMap(([name, { purpose, schema }]) => [
      `### \`event.${name}\``,
      `Says: ${purpose}.`,
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
 * Every message in one table: who says it, who hears it, what for.
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
 * A type in TypeScript's manner; what JSON Schema has no word for is binary.
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
