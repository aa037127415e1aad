const { port, concurrency, handle } = require('../../workload/workload.js');
const { Worker } = require('bullmq');

const worker = new Worker('bench', ({ data }) => handle(data), { connection: { port, host: '127.0.0.1' }, concurrency });
worker.on('error', error => console.error(error));
process.on('SIGTERM', async () => { await worker.close(); process.exit(0); });
