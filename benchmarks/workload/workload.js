// What every Node system under measurement does alike; see workload.py, which says the same of Python.
const fs = require('fs');

const env = process.env;
const url = env.BENCH_URL || 'redis://127.0.0.1:6379/0';
const port = Number(new URL(url).port);
const job = env.BENCH_JOB || 'noop';
const concurrency = Number(env.BENCH_CONCURRENCY || 10);
const companies = Number(env.BENCH_COMPANIES || 100);
const worker = Number(env.BENCH_WORKER || 0);
const WARM_UP = 200, CHUNK = 500;

const starts = fs.openSync(env.BENCH_STARTS || '/dev/null', 'a');
const entry = Buffer.alloc(24);
const monotonic = () => Number(process.hrtime.bigint()) / 1e9;
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

function started(sentAt) {
  entry.writeDoubleLE(sentAt || 0, 0);
  entry.writeDoubleLE(monotonic(), 8);
  entry.writeDoubleLE(worker, 16);
  fs.writeSync(starts, entry);
}

async function handle(data) {
  started(data.sentAt);
  if (job === 'io') await sleep(20);
  return { messageId: 'wamid.HBgNNTUxMTk5OTk5OTk5ORUCABEY', status: 'sent' };
}

function payloads(count) {
  return Array.from({ length: count }, (_, number) => ({
    empresaId: `00000000-0000-0000-0000-${((number % companies) + 1).toString(16).padStart(12, '0')}`,
    to: '+5511999999999', message: 'x'.repeat(100), sentAt: 0,
  }));
}

async function send(mode, one, many, data) {
  if (mode === 'one') for (const each of data) await one(each);
  else for (let start = 0; start < data.length; start += CHUNK) await many(data.slice(start, start + CHUNK));
}

// one COUNT | bulk COUNT | fill COUNT | beat COUNT GAP_S; prints jobs a second. The first 200 are not timed.
async function produce(one, many) {
  const [mode, count, gap] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
  const data = payloads(count);
  if (mode === 'beat') {
    for (const each of data) {
      each.sentAt = monotonic();
      await one(each);
      await sleep(Math.max(0, (gap - (monotonic() - each.sentAt)) * 1000));
    }
    return;
  }
  const warm = Math.min(WARM_UP, count >> 1), how = mode === 'one' ? 'one' : 'bulk';
  await send(how, one, many, data.slice(0, warm));
  const began = monotonic();
  await send(how, one, many, data.slice(warm));
  console.log(JSON.stringify({ rate: (count - warm) / (monotonic() - began) }));
}

module.exports = { port, job, concurrency, handle, produce };
