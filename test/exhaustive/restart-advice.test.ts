import { testAdviceTable } from '../mesh/restart-advice-table.js';

testAdviceTable(5);
