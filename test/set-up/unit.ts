import { setUp } from '../../scripts/setup.mjs';

/** Unit tests read sources, so no build; those of the transports start a NATS server. */
export default async function prepare(): Promise<void> {
  const { env } = await setUp({ build: false, nats: true });
  Object.assign(process.env, env);
}
