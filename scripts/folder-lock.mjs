// A lock that several processes of one machine share: a folder that one of them holds.
//
// 1. The folder appears by a rename, with its owner's name inside, so no process sees it half made.
// 2. The owner touches it every second. An owner whose process has ended, or that has not touched
//    it for half a minute, has lost it.
// 3. An abandoned lock is removed by one process at a time, which checks again before it does.
// 4. A process that ends by a signal, as after Ctrl-C, leaves nothing behind: neither the lock nor what
//    it has prepared while it waits.

import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const TOUCH_EVERY_MS = 1_000;
const LOST_AFTER_MS = 30_000;
const RETRY_EVERY_MS = 100;

/** @type {NodeJS.Signals[]} */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Runs `work` while this process holds `folder`; waits for the process that holds it now.
 *
 * @template T
 * @param {string} folder
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withFolderLock(folder, work) {
  const token = randomUUID();
  const release = () => {
    rmSync(preparedName(folder, token), { recursive: true, force: true });
    if (ownerOf(folder)?.token === token) rmSync(folder, { recursive: true, force: true });
  };
  const onSignal = (/** @type {NodeJS.Signals} */ signal) => {
    if (process.listenerCount(signal) > 1) return;
    release();
    // Without a handler the signal ends this process.
    process.off(signal, onSignal);
    process.kill(process.pid, signal);
  };
  process.once('exit', release);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  let touching;
  try {
    await acquire(folder, token);
    touching = setInterval(() => touch(folder), TOUCH_EVERY_MS);
    return await work();
  } finally {
    clearInterval(touching);
    process.off('exit', release);
    for (const signal of SIGNALS) process.off(signal, onSignal);
    release();
  }
}

/**
 * @param {string} folder
 * @param {string} token
 */
function preparedName(folder, token) {
  return `${folder}.${token}`;
}

/**
 * @param {string} folder
 * @param {string} token
 */
async function acquire(folder, token) {
  const prepared = preparedName(folder, token);
  mkdirSync(prepared, { recursive: true });
  const owner = { token, pid: process.pid, host: hostname() };
  writeFileSync(path.join(prepared, 'owner.json'), JSON.stringify(owner));
  for (;;) {
    touch(prepared);
    if (renamed(prepared, folder)) return;
    if (isAbandoned(folder)) takeAway(folder);
    await sleep(RETRY_EVERY_MS);
  }
}

/**
 * @param {string} from
 * @param {string} to
 */
function renamed(from, to) {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    const code = /** @type {NodeJS.ErrnoException} */ (error).code ?? '';
    if (['ENOTEMPTY', 'EEXIST', 'EPERM', 'EACCES'].includes(code) && ageMs(to) !== undefined) {
      return false;
    }
    // It existed for the rename and not for the check: its holder has just released it.
    if (['ENOTEMPTY', 'EEXIST'].includes(code)) return false;
    throw error;
  }
}

/** @param {string} folder */
function isAbandoned(folder) {
  const age = ageMs(folder);
  if (age === undefined) return false;
  if (age > LOST_AFTER_MS) return true;
  const owner = ownerOf(folder);
  return owner !== undefined && owner.host === hostname() && !isRunning(owner.pid);
}

/** @param {string} folder */
function takeAway(folder) {
  const guard = `${folder}.takeover`;
  try {
    mkdirSync(guard);
  } catch {
    if ((ageMs(guard) ?? 0) > LOST_AFTER_MS) rmSync(guard, { recursive: true, force: true });
    return;
  }
  try {
    if (isAbandoned(folder)) rmSync(folder, { recursive: true, force: true });
  } finally {
    rmSync(guard, { recursive: true, force: true });
  }
}

/**
 * @param {string} folder
 * @returns {{ token: string, pid: number, host: string } | undefined}
 */
function ownerOf(folder) {
  try {
    return JSON.parse(readFileSync(path.join(folder, 'owner.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** @param {number} pid */
function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/** @param {string} folder */
function ageMs(folder) {
  try {
    return Date.now() - statSync(folder).mtimeMs;
  } catch {
    return undefined;
  }
}

/** @param {string} folder */
function touch(folder) {
  try {
    const now = new Date();
    utimesSync(folder, now, now);
  } catch {
    // It is gone: the owner notices when it releases it.
  }
}
