const { port, job, produce } = require('../../workload/workload.js');
const { Queue } = require('bullmq');

const queue = new Queue('bench', { connection: { port, host: '127.0.0.1' } });
const opts = { attempts: 3, backoff: { type: 'exponential', delay: 1000 } };
(async () => {
  await queue.waitUntilReady();
  await produce(data => queue.add(job, data, opts), all => queue.addBulk(all.map(data => ({ name: job, data, opts }))));
  await queue.close();
})();
