import { noteContract } from '../support/contract-record.js';

noteContract();
