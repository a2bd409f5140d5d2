#!/usr/bin/env node
// Health checks come every few seconds: they load little.
await import(process.argv[2] === 'health' ? '../bundle/health-main.js' : '../bundle/main.js');
