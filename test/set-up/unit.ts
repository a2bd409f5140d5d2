import { setUp } from '../../scripts/setup.mjs';
import { findNatsServer } from '../support/find-nats.js';

/** Unit tests read sources, so no build; those of the transports start a NATS server. */
export default async function prepare(): Promise<void> {
  await setUp({ build: false });
  process.env.CONCLAVE_NATS_SERVER = await findNatsServer();
}
