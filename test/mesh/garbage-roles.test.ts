import { fuzzRoles } from './role-garbage.js';

// All of it: test/long/garbage-roles.test.ts.
fuzzRoles(0.1);
