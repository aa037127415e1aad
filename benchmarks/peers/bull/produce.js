const { port, job, produce } = require('../../workload/workload.js');
const Queue = require('bull');

const queue = new Queue('bench', { redis: { port, host: '127.0.0.1' } });
const opts = { attempts: 3, backoff: { type: 'exponential', delay: 1000 } };
(async () => {
  await queue.isReady();
  await produce(data => queue.add(job, data, opts), all => queue.addBulk(all.map(data => ({ name: job, data, opts }))));
  await queue.close();
})();
