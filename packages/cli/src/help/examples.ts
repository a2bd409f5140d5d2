/** Examples of each command, for its help and the man page. A test parses all of them. */
import type { Command } from 'commander';
import { allNodes, commandTree } from './command-tree.js';

/** A command line without `conclave`, and what it does. */
type Example = readonly [line: string, meaning: string];

const examples: Readonly<Record<string, readonly Example[]>> = {
  'log-level': [
    ['log-level debug --peer n1', 'log more in all processes of n1'],
    ['log-level --peer n1 --actor node', 'print the level of the process of its node'],
  ],
  profile: [
    ['profile cpu --peer n1', 'the processor time of the process of its node, for ten seconds'],
    [
      'profile heap --peer n1 --actor log-store --seconds 30',
      'which functions of the process of its log-store allocate memory',
    ],
  ],
  exporter: [
    ['exporter', 'the metrics of the whole mesh, on http://127.0.0.1:9464/metrics'],
    ['exporter --listen 0.0.0.0:9464', 'also for a Prometheus on another machine'],
  ],
  run: [
    ['run --peer n1 --data-dir /var/lib/conclave', 'all four actors of the peer n1 in one process'],
    ['run --peer n1 --actors node --nats nats://10.0.0.1:4222', 'one of its actors'],
    ['run --peer n1 --http 127.0.0.1:9464', 'with /metrics, /livez and /readyz'],
  ],
  up: [
    ['up', 'three peers of four processes each, and a NATS server'],
    ['up --peers 5 --placement one', 'five peers of one process each'],
  ],
  view: [
    ['view', 'the page of the group main, at http://127.0.0.1:8250/'],
    ['view --listen 127.0.0.1:9000 --allow-admin', 'with commands, each after a confirmation'],
    ['view --simulate --question who-may-lead', 'a simulated group that answers a question, step by step'],
    ['view --replay incident.records', 'a recording, at any speed and backwards'],
  ],
  record: [['record incident.records', 'record the group main until Ctrl-C']],
  bootstrap: [['bootstrap n1 n2 n3', 'create the group main']],
  status: [
    ['status', 'the group and its peers'],
    ['status --peer n2 --json', 'what n2 knows, for a program'],
  ],
  check: [['check', 'compare the members’ states']],
  credentials: [['credentials --out credentials --peers n1,n2,n3', 'keys, certificates and server configuration']],
  groups: [['groups list', 'the groups that the peers host']],
  'groups list': [['groups list', 'of all peers that answer']],
  'groups create': [['groups create orders --peers n1,n2,n3', 'a second group on running peers']],
  'groups delete': [['groups delete orders --peers n1,n2,n3 --yes', 'with its data, for good']],
  upgrade: [
    ['upgrade', 'the feature level, and which peers keep it low'],
    ['upgrade --raise', 'raise it after all peers run the new version'],
  ],
  peers: [['peers change n1 n4 n5', 'replace n2 and n3']],
  'peers add': [['peers add n4', 'add a running spare peer']],
  'peers remove': [['peers remove n3', 'remove a member']],
  'peers change': [['peers change n1 n4 n5', 'the members from now on']],
  'peers read-only': [['peers read-only n2 on', 'for example if its disk is full']],
  'peers reset': [['peers reset --peer n1 --new-peers n1 --yes', 'n2 and n3 are lost for good']],
  'peers cancel': [['peers cancel', 'return to the members before the change']],
  restart: [
    ['restart --run "systemctl restart conclave@{peer}"', 'one peer after the other, by systemd'],
    ['restart --compose', 'by docker compose'],
  ],
  leader: [['leader transfer n2', 'have n2 lead']],
  'leader transfer': [
    ['leader transfer', 'to the most up-to-date peer'],
    ['leader transfer n2', 'to n2'],
    ['leader transfer --from n1', 'before n1 is stopped; does nothing if n1 does not lead'],
    ['leader transfer --from n1 --all-groups', 'the same for all groups that n1 hosts'],
  ],
  snapshot: [['snapshot --peer n2', 'only of n2']],
  kv: [['kv put hello world', 'write a key']],
  'kv put': [
    ['kv put hello world', 'write a key'],
    ['kv put picture - --json', 'its value comes from standard input'],
  ],
  'kv get': [
    ['kv get hello', 'linearizable'],
    ['kv get hello --peer n3', 'what n3 has'],
  ],
  'kv range': [['kv range user/ --limit 10', 'the first ten keys that begin with user/']],
  'kv watch': [['kv watch user/ --state', 'first what is there, then each change']],
  'kv delete': [['kv delete hello', 'delete a key']],
  'kv cas': [['kv cas hello 7 there', 'write if the revision is still 7']],
  txn: [
    [
      `txn '{"compare":[["owner","revision","=",0]],"then":[["put","owner","me"]],"else":[["get","owner"]]}'`,
      'write the key if it does not exist',
    ],
  ],
  lease: [['lease grant 10000', 'a lease of 10 s']],
  'lease grant': [['lease grant 10000', 'a lease of 10 s; prints its id']],
  'lease keep': [['lease keep 7.Xq3n0cVb7LrY2sEfGd9oWi', 'for as long as it was granted']],
  'lease revoke': [['lease revoke 7.Xq3n0cVb7LrY2sEfGd9oWi', 'end it and delete its keys']],
  'lease get': [['lease get 7', 'by its number']],
  'lease list': [['lease list --json', 'all leases, for a program']],
  lock: [['lock printer -- make print', 'run a command while the lock is held']],
  'lock list': [['lock list', 'all locks, with holders']],
  'lock get': [['lock get printer', 'its holder']],
  'lock run': [['lock run list -- make print', 'a lock that is named as a command is']],
  watch: [['watch --events leader_elected,stage_changed', 'elections and membership changes']],
  permissions: [['permissions --role client --group main', 'for the configuration of a NATS server']],
  backup: [['backup main.backup', 'the state of the group main']],
  restore: [['restore main.backup --group copy --peers n1,n2,n3', 'as a new group']],
  bench: [['bench --seconds 5 --rows four', 'three peers of four processes each']],
  soak: [['soak --minutes 10', 'ten minutes of writes']],
  demo: [['demo', 'a membership change under load']],
  health: [
    ['health --peer n1', 'all actors of n1'],
    ['health --all-peers', 'all members of the group'],
  ],
  config: [['config check conclave.yaml', 'is it correct?']],
  'config check': [['config check conclave.yaml', 'is it correct?']],
  context: [['context use production', 'for the commands from now on']],
  'context add': [
    ['context add production --nats tls://nats.example.com --nats-creds operator.creds', 'servers and a login'],
    ['context add orders --nats-context production --group orders', 'with the login of a context of the nats tool'],
  ],
  'context use': [
    ['context use production', 'for the commands from now on'],
    ['context use nats:production', 'a context of the nats tool'],
  ],
  'context list': [['context list', 'with a star at the one that is used']],
  'context remove': [['context remove production', 'delete it']],
  version: [['version --json', 'for a program']],
  completion: [
    ['completion bash > ~/.local/share/bash-completion/completions/conclave', 'for bash'],
    ['completion zsh > ~/.zsh/completions/_conclave', 'for zsh'],
    ['completion fish > ~/.config/fish/completions/conclave.fish', 'for fish'],
  ],
  man: [['man > conclave.1', 'read it with man ./conclave.1']],
};

/**
 * Returns the examples of a command, each beginning with `conclave`.
 * @param path the words of the command
 */
export function examplesOf(path: readonly string[]): readonly Example[] {
  return (examples[path.join(' ')] ?? []).map(([line, meaning]) => [`conclave ${line}`, meaning]);
}

/** Adds the examples to the end of each command's help. */
export function addExamples(program: Command): void {
  for (const { path, command } of allNodes(commandTree(program))) {
    const lines = examplesOf(path).flatMap(([line, meaning]) => [`  ${line}`, `      ${meaning}`]);
    if (lines.length > 0) command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
  }
  program.addHelpText(
    'after',
    '\nExamples:\n  conclave up\n      a group on this machine\n  conclave kv put --help\n      how to use a command',
  );
}
