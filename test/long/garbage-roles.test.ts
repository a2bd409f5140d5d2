import { fuzzRoles } from '../mesh/role-garbage.js';

fuzzRoles(1);
