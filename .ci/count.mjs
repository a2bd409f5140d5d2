// Counts what passed and what failed, prints each failed test and its error, then the counts in one line, and fails if anything
// failed. The failures are printed again at the end because often only the end of a log is kept.
//
// usage: count.mjs <checks passed> <checks failed> [<Vitest's JSON report> <exit code of those tests>]...

import { readFileSync } from 'node:fs';

const [checksPassed, checksFailed, ...runs] = process.argv.slice(2);
let passed = Number(checksPassed);
let failed = Number(checksFailed);
for (let at = 0; at < runs.length; at += 2) {
  const tests = countTests(runs[at] ?? '');
  passed += tests.passed;
  failed += tests.failed;
  for (const line of tests.failures) console.error(line);
  if (tests.passed + tests.failed === 0) {
    console.error(`No test ran that ${runs[at]} tells of.`);
    failed += 1;
  } else if (tests.failed === 0 && runs[at + 1] !== '0') {
    console.error(`No test failed, and yet a run as a whole did (exit code ${runs[at + 1]}).`);
    failed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/**
 * A file that failed as a whole (it could not be loaded, a hook of it threw) counts as one.
 *
 * @param {string} file
 * @returns {{ passed: number, failed: number, failures: string[] }} `failures`: what failed and why, a few lines each
 */
function countTests(file) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { passed: 0, failed: 0, failures: [] };
  }
  let passed = 0;
  const failures = [];
  for (const { name, status, message, assertionResults } of report.testResults) {
    let failedHere = 0;
    for (const test of assertionResults) {
      if (test.status === 'passed') passed += 1;
      if (test.status !== 'failed') continue;
      failedHere += 1;
      failures.push(failure(`${name} > ${test.fullName}`, test.failureMessages.join('\n')));
    }
    if (status === 'failed' && failedHere === 0) failures.push(failure(name, message));
  }
  return { passed, failed: failures.length, failures };
}

/**
 * @param {string} what
 * @param {string} why
 */
function failure(what, why) {
  return `FAILED ${what}\n${why.split('\n').slice(0, 40).join('\n')}`;
}
