/**
 * Names in documents and comments that name nothing in this project, each with the reason. A name that a rename or a
 * deletion has made wrong does not belong here: correct the document.
 */
export const allowedNames: Readonly<Record<string, string>> = {
  // Other software.
  allow_responses: 'a permission of NATS',
  max_pending: 'an option of nats-server',
  'nats-server --signal reload': 'a command of NATS',
  'tests-turmoil': 'a folder of openraft',
  testdata: 'a folder of etcd-io/raft',
  'quorum.JointConfig.CommittedIndex': 'a function of etcd-io/raft',
  'test/test_node.cpp': 'a file of braft',
  'NodeImpl::reset_peer': 'a function of braft',
  'Replicator::_install_snapshot': 'a function of braft',
  EX_SOFTWARE: 'a constant of sysexits.h',
  ClassicLevel: 'a class of classic-level',
  'sorted-btree': 'a package of npm',
  'tcp-proxy.js': 'a package of npm',
  'node-tcp-proxy': 'a package of npm',
  'engine-strict': 'an option of npm',
  jq: 'a command that formats JSON',
  fsync: 'a system call',
  'doc/log_format.md': 'a file of LevelDB',
  'doc/table_format.md': 'a file of LevelDB',
  '--ticks-before-optimization': 'an option of V8',
  '--initial-old-space-size': 'an option of V8',
  '--trace-gc': 'an option of V8',
  '--trace-gc-nvp': 'an option of V8',
  // Names in examples.
  'plain.mjs': 'a file that the reader creates',
  'orders-conclave-0': 'a pod of the example',
  'conclave-four': 'a prefix that the bench composes',
  'conclave-one': 'a prefix that the bench composes',
  // What a decision removed, named by that decision.
  floor_operations_per_second: 'renamed by decision 0113',
  anew: 'renamed by decision 0113',
  catchup_margin: 'removed by decision 0072',
  '--catchup-margin': 'removed by decision 0072',
  CONCLAVE_CATCHUP_MARGIN: 'removed by decision 0072',
  'test/cores/core-mesh.ts': 'became the simulator, as decision 0014 describes',
  'random-run.ts': 'became the simulator, as decision 0014 describes',
};
