/** Has the tests of a project run against the oldest NATS server that Conclave supports. */
import { findOldestNatsServer } from '../../scripts/nats-server.mjs';

process.env.CONCLAVE_NATS_SERVER = await findOldestNatsServer();
