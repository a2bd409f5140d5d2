import { setUp } from '../../scripts/setup.mjs';
import { keepRecord } from '../support/contract-folder.js';

/** The processes that these tests start run what was built. */
export default async function prepare(): Promise<() => void> {
  const { env } = await setUp({ build: true, nats: true });
  Object.assign(process.env, env);
  return keepRecord();
}
