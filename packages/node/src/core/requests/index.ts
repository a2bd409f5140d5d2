/**
 * The requests of clients and operators, from their arrival at the core to the part that carries them out.
 * This file lists what other folders may import.
 */
export { type NodeRequest, RequestRouter } from './request-router.js';
