#!/usr/bin/env node
// Health checks come every few seconds: they load little.
await import(process.argv[2] === 'health' ? '../dist/health-main.js' : '../dist/main.js');
