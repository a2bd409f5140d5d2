/** Has the tests of a project run against the oldest NATS server that Conclave supports. */
import { findOldestNatsServer } from '../support/find-nats.js';

process.env.CONCLAVE_NATS_SERVER = await findOldestNatsServer();
