import { testAdviceTable } from '../mesh/restart-advice-table.js';

// That of five peers takes long by itself: test/exhaustive/.
testAdviceTable(3);
