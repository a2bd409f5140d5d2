/**
 * What a mutation is: one rule taken out of the cores, as data.
 *
 * @typedef {object} Edit
 * @property {string} file from the project's folder
 * @property {string} find text that must stand in the file exactly once
 * @property {string} replace
 *
 * @typedef {object} Mutation
 * @property {string} id
 * @property {string} rule what it takes out, in the words of DESIGN or of the Raft thesis
 * @property {readonly Edit[]} edits more than one where the same rule is kept in more than one place
 * @property {number} seeds within so many seeds, from 1 on, the simulator must find it; 0: a scenario or a test does
 * @property {string} [scenario] the file in test/scenarios that tells of it: what it needs comes about too seldom by chance
 * @property {string} [test] a package's unit test that finds it, where no run of the simulator can
 * @property {string} [why] with `test`: why no run can
 */
export {};
