export { BallotBoxCore, type BallotBoxEffect, type BallotBoxInput, type BallotBoxOptions } from './ballot-box-core.js';
