#!/usr/bin/env node
const { hideSecrets } = await import('../bundle/processes/hide-secrets.js');
hideSecrets();
// Health checks come every few seconds, and a peer's processes keep in memory what they load: both load little.
const command = process.argv[2];
if (command === 'run') (await import('../bundle/run/v8-tuning.js')).keepYoungGenerationSmall();
await import(command === 'health' || command === 'run' ? `../bundle/${command}-main.js` : '../bundle/main.js');
