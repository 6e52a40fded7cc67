// Releases of CrateDB and caches of its Java machine, kept between jobs by the cache service of GitHub Actions.
//
// The service's protocol is that of the package `@actions/cache`, which GitHub may change. So no failure here fails a
// job: it is a warning, and the release is downloaded as without a cache.
'use strict';

const { spawn } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const zlib = require('node:zlib');
const runner = require('./runner');

const SERVICE = 'twirp/github.actions.results.api.v1.CacheService';
const CALL_MS = 30_000;
const TRANSFER_MS = 10 * 60_000;
/** The times in which a process begins to make a cache of the Java machine after the session, and ends it. */
const TRAINING_BEGINS_MS = 3_000;
const TRAINING_MS = 120_000;
const GZIP = { level: 1 };

/** Returns where `cratedb-test` keeps its files. For root, caches of the Java machine are in the system's directory. */
function directories() {
  const own = path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'cratedb-test');
  return process.getuid() === 0 ? [own, '/var/cache/cratedb-test'] : [own];
}

/** Entries of other systems, places and formats are never found. */
function identity() {
  const [system, processor] = [process.env.RUNNER_OS || process.platform, process.env.RUNNER_ARCH || process.arch];
  const prefix = `cratedb-test-${system}-${processor}-`;
  const version = crypto.createHash('sha256').update(`1|gzip|${directories().join('|')}`).digest('hex');
  return { prefix, version };
}

/** Restores the newest entry. Returns its key, or nothing. */
async function restore() {
  return softly('nothing was restored from the cache', async () => {
    const { prefix, version } = identity();
    const found = await call('GetCacheEntryDownloadURL', { key: prefix, restore_keys: [prefix], version });
    if (!found?.ok) return runner.say('the cache has no release of CrateDB yet');
    const answer = await fetch(found.signed_download_url, { signal: AbortSignal.timeout(TRANSFER_MS) });
    if (!answer.ok) throw new Error(`the download was answered with ${answer.status}`);
    await unpack(Readable.fromWeb(answer.body));
    runner.say(`restored ${found.matched_key} from the cache`);
    return found.matched_key;
  });
}

/** Saves what is there, unless `restored` is the key of the same files. */
async function save(restored) {
  return softly('nothing was saved in the cache', async () => {
    // Half a cache of the Java machine is of no use.
    const left = (await trained()) ? [] : ['jvm'];
    const { prefix, version } = identity();
    const digest = contents(left);
    const key = `${prefix}${digest}`;
    if (!digest) return runner.say('there is nothing to cache');
    if (key === restored) return runner.say('the cache has all of it');
    const made = await call('CreateCacheEntry', { key, version });
    if (!made?.ok) return runner.say('another job has saved the same');
    const archive = temporary('tar.gz');
    try {
      await pack(archive, left);
      const size = fs.statSync(archive).size;
      await upload(made.signed_upload_url, archive, size);
      const done = await call('FinalizeCacheEntryUpload', { key, version, size_bytes: String(size) });
      if (!done?.ok) throw new Error('the service did not accept the entry');
      runner.say(`saved ${key} in the cache, ${(size / 2 ** 20).toFixed(1)} MiB`);
    } finally {
      fs.rmSync(archive, { force: true });
    }
  });
}

async function softly(what, run) {
  if (!process.env.ACTIONS_RESULTS_URL || !process.env.ACTIONS_RUNTIME_TOKEN) {
    return runner.say('this runner has no cache service, so nothing is cached');
  }
  try {
    return await run();
  } catch (cause) {
    runner.warning(`${what}: ${cause.cause?.message ?? cause.message}`);
  }
}

/** Calls the service. Returns its answer, or nothing if it has no such entry or has it already. */
async function call(method, body) {
  const url = new URL(`${SERVICE}/${method}`, process.env.ACTIONS_RESULTS_URL);
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.ACTIONS_RUNTIME_TOKEN}` },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(CALL_MS),
  });
  if (answer.status === 404 || answer.status === 409) return undefined;
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} was answered with ${answer.status}: ${text.slice(0, 500)}`);
  return JSON.parse(text);
}

/** Sends a file with its length, which the service's storage wants to know first. */
function upload(url, file, size) {
  const headers = { 'content-length': size, 'content-type': 'application/octet-stream', 'x-ms-blob-type': 'BlockBlob' };
  const { request } = url.startsWith('https:') ? https : http;
  return new Promise((resolve, reject) => {
    const put = request(url, { method: 'PUT', headers, signal: AbortSignal.timeout(TRANSFER_MS) }, (answer) => {
      answer.resume();
      const status = answer.statusCode;
      if (status < 300) resolve();
      else reject(new Error(`the upload was answered with ${status}`));
    });
    put.on('error', reject);
    pipeline(fs.createReadStream(file), put).catch(reject);
  });
}

/** Returns a digest of the names and sizes of all files, but those that are left out. Without files it is empty. */
function contents(left) {
  const lines = directories().flatMap((directory) => {
    const names = fs.existsSync(directory) ? fs.readdirSync(directory, { recursive: true }) : [];
    const taken = names.filter((name) => !left.includes(name.split('/')[0]));
    const files = taken.map((name) => path.join(directory, name)).map((file) => [file, fs.lstatSync(file)]);
    return files.filter(([, stat]) => stat.isFile()).map(([file, stat]) => `${file} ${stat.size}`);
  });
  return lines.length ? crypto.createHash('sha256').update(lines.sort().join('\n')).digest('hex').slice(0, 32) : '';
}

async function pack(archive, left) {
  const present = directories().filter((directory) => fs.existsSync(directory));
  const relative = present.map((directory) => directory.slice(1));
  const excluded = relative.flatMap((directory) => left.map((name) => `--exclude=${path.join(directory, name)}`));
  const args = ['-C', '/', ...excluded, '-cf', '-', ...relative];
  const tar = spawn('tar', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await Promise.all([
    pipeline(tar.stdout, zlib.createGzip(GZIP), fs.createWriteStream(archive, { mode: 0o600 })), success(tar),
  ]);
}

/** Unpacks an archive once all of it is there: a transfer that breaks must not leave half a release. */
async function unpack(stream) {
  const archive = temporary('tar');
  try {
    await pipeline(stream, zlib.createGunzip(), fs.createWriteStream(archive, { mode: 0o600 }));
    await success(spawn('tar', ['-C', '/', '-xf', archive], { stdio: ['ignore', 'inherit', 'inherit'] }));
  } finally {
    fs.rmSync(archive, { force: true });
  }
}

function temporary(kind) {
  return path.join(process.env.RUNNER_TEMP || os.tmpdir(), `cratedb-cache-${process.pid}.${kind}`);
}

function success(child) {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`tar ended with exit code ${code}`))));
  });
}

/** Waits for the caches of the Java machine that are being made after the session. Returns whether all are there. */
async function trained() {
  if (process.env.CRATEDB_TEST_JVM_CACHE !== '1') return true;
  const begun = await until(() => unfinished().length > 0, TRAINING_BEGINS_MS);
  if (!begun) return true;
  runner.say('waiting for the cache of the Java machine');
  const done = await until(() => unfinished().length === 0, TRAINING_MS);
  if (!done) runner.say(`it takes longer than ${TRAINING_MS / 1000} s and is left out`);
  return done;
}

/** Returns the caches that have a lock, and neither a description, which comes last, nor the mark of a failure. */
function unfinished() {
  const places = directories().map((directory) => path.join(directory, 'jvm')).filter((place) => fs.existsSync(place));
  const locks = places.flatMap((place) => fs.readdirSync(place).map((name) => path.join(place, name)));
  const made = locks.filter((file) => file.endsWith('.lock')).map((lock) => lock.slice(0, -'.lock'.length));
  return made.filter((cache) => !fs.existsSync(`${cache}.failed`) && !fs.existsSync(path.join(cache, 'about.json')));
}

async function until(ready, limit) {
  const deadline = Date.now() + limit;
  while (!ready()) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return true;
}

module.exports = { restore, save };
