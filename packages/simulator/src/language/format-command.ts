/** Formats a command as a line of text, which `parseCommand` parses to the same command. */
import type { ClientCommand, Command, DiskCommand } from './command.js';
import type { PlainRequest } from './scenario-command.js';
import { optionTokens } from './tokens.js';

export function formatCommand(command: Command | PlainRequest): string {
  return wordsOf(command).join(' ');
}

function wordsOf(command: Command | PlainRequest): readonly (string | number)[] {
  switch (command.type) {
    case 'peers': {
      const { type, peers, ...options } = command;
      return [type, ...peers, ...optionTokens(options)];
    }
    case 'network': {
      const { loss, repeat, delay, turn } = command;
      return ['network', ...optionTokens({ loss, repeat, delay, turn })];
    }
    case 'run':
      return ['run', command.ms, ...optionTokens({ until: command.until })];
    case 'crash':
    case 'start':
    case 'pause':
    case 'resume':
      return [command.type, ...command.targets];
    case 'build':
      return ['build', command.build, ...command.targets];
    case 'duplicate-node':
      return ['duplicate-node', command.peer];
    case 'copy-disk':
    case 'restore-disk':
      return [command.type, command.peer];
    case 'wipe':
      return ['wipe', command.peer, ...(command.ifHeld ? ['if=held'] : spareTokens(command))];
    case 'skew':
      return ['skew', command.target, ...optionTokens({ rate: command.rate, offset: command.offset })];
    case 'cut':
      return ['cut', ...joined(command.groups, command.oneWay ? '->' : '|')];
    case 'slow':
      return ['slow', command.peer, ...optionTokens({ ms: command.ms })];
    case 'delay': {
      const what = 'message' in command ? [command.message] : [command.from, '->', command.to];
      return ['delay', ...what, ...optionTokens({ ms: command.ms })];
    }
    case 'disk':
      return diskTokens(command);
    case 'flip': {
      const where = command.part === 'meta' ? [] : [command.index];
      return ['flip', command.peer, command.part, ...where, ...spareTokens(command)];
    }
    case 'corrupt':
      return [command.type, command.peer, command.part];
    case 'nats':
      return ['nats', command.state, command.server];
    case 'client':
      return clientTokens(command);
    case 'plain': {
      const { operation, key, value, by } = command;
      if (operation === 'put') return [operation, key, value];
      return by === undefined ? [operation, key] : [operation, key, 'by', by];
    }
    case 'watch':
      return command.prefix === '' ? ['watch'] : ['watch', command.prefix];
    case 'reset':
      return ['reset', command.at, ...command.peers];
    case 'bootstrap':
      return [
        'bootstrap',
        command.at,
        ...command.peers,
        ...optionTokens({ timeout: command.timeout }),
        ...(command.isNew === true ? ['new=yes'] : []),
      ];
    case 'change':
      return ['change', ...command.peers, ...optionTokens({ timeout: command.timeout })];
    case 'add':
    case 'remove':
      return [command.type, command.peer, ...optionTokens({ timeout: command.timeout })];
    case 'read-only':
      return [command.type, command.peer, command.on ? 'on' : 'off'];
    case 'snapshot':
      return [command.type, command.peer];
    case 'transfer':
      return command.peer === undefined ? ['transfer'] : ['transfer', command.peer];
    case 'recreate':
      return ['recreate', ...command.peers, ...(command.backup ? ['backup=1'] : [])];
    case 'backup':
      return ['backup', command.peer];
    case 'reset-survivors':
      return ['reset-survivors', ...(command.alone ? ['alone'] : []), ...(command.now ? ['now'] : [])];
    case 'reconnect':
    case 'cancel':
    case 'raise':
    case 'quiesce':
      return [command.type];
    default:
      return command satisfies never;
  }
}

function diskTokens({ type, peer, fail, delay, free }: DiskCommand): readonly (string | number)[] {
  return [type, peer, ...(fail ? ['fail'] : []), ...optionTokens({ delay, free })];
}

function clientTokens(command: ClientCommand): readonly (string | number)[] {
  const { client, operation, key } = command;
  switch (operation) {
    case 'put':
      return [client, operation, key, command.value, ...(command.lease === undefined ? [] : ['lease', command.lease])];
    case 'grant':
      return [client, operation, key, command.ttl];
    case 'get':
      return [
        client,
        operation,
        key,
        ...(command.at === undefined ? [] : ['at', command.at]),
        ...(command.by === undefined ? [] : ['by', command.by]),
      ];
    case 'txn':
      return [client, operation, key, command.other, command.revision, command.value];
    case 'cas':
      return [client, operation, key, command.revision, command.value];
    default:
      return [client, operation, key];
  }
}

function spareTokens({ ifSpare }: { readonly ifSpare: boolean }): string[] {
  return ifSpare ? ['if=spare'] : [];
}

function joined(groups: readonly (readonly string[])[], by: string): string[] {
  return groups.flatMap((group, at) => (at === 0 ? group : [by, ...group]));
}
