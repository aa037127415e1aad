const { port, produce } = require('../../workload/workload.js');
const Queue = require('bee-queue');

const redis = { port, host: '127.0.0.1' };
const queue = new Queue('bench', { redis, isWorker: false, getEvents: false, storeJobs: false });
const made = data => queue.createJob(data).retries(2).backoff('exponential', 1000);
(async () => {
  await queue.ready();
  await produce(data => made(data).save(), async all => {
    const errors = await queue.saveAll(all.map(made));
    if (errors.size) throw errors.values().next().value;
  });
  await queue.close();
})();
