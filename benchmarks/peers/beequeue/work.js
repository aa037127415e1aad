const { port, concurrency, handle } = require('../../workload/workload.js');
const Queue = require('bee-queue');

const redis = { port, host: '127.0.0.1' };
const queue = new Queue('bench', { redis, getEvents: false, storeJobs: false, removeOnSuccess: false, activateDelayedJobs: true });
queue.process(concurrency, ({ data }) => handle(data));
queue.on('error', error => console.error(error));
process.on('SIGTERM', async () => { await queue.close(5000); process.exit(0); });
