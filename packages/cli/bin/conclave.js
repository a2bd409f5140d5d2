#!/usr/bin/env node
const { hideSecrets } = await import('../bundle/processes/hide-secrets.js');
hideSecrets();
// Health checks come every few seconds: they load little.
await import(process.argv[2] === 'health' ? '../bundle/health-main.js' : '../bundle/main.js');
