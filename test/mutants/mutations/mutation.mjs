/**
 * What a mutation is: the removal of one rule from the cores, as data.
 *
 * @typedef {object} Edit
 * @property {string} file from the project's folder
 * @property {string} find text that must occur in the file exactly once
 * @property {string} replace
 *
 * @typedef {object} Mutation
 * @property {string} id
 * @property {string} rule the rule that it removes, as docs/design.md or the Raft thesis states it
 * @property {readonly Edit[]} edits more than one if several places implement the rule
 * @property {number} seeds the simulator must find it within this number of seeds, from 1 on; 0: a scenario or a test does
 * @property {string} [scenario] the file in test/scenarios that finds it: what it needs is too rare at random
 * @property {string} [test] a package's unit test that finds it, if no run of the simulator can
 * @property {string} [why] with `test`: why no run can
 */
export {};
