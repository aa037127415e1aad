const { port, job, concurrency, handle } = require('../../workload/workload.js');
const Queue = require('bull');

const queue = new Queue('bench', { redis: { port, host: '127.0.0.1' } });
queue.process(job, concurrency, ({ data }) => handle(data));
queue.on('error', error => console.error(error));
process.on('SIGTERM', async () => { await queue.close(); process.exit(0); });
