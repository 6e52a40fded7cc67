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
/** The time that a cache of the Java machine may take after the last session. */
const TRAINING_MS = 60_000;
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
    await trained();
    const { prefix, version } = identity();
    const digest = contents();
    const key = `${prefix}${digest}`;
    if (!digest) return runner.say('there is nothing to cache');
    if (key === restored) return runner.say('the cache has all of it');
    const made = await call('CreateCacheEntry', { key, version });
    if (!made?.ok) return runner.say('another job has saved the same');
    const archive = temporary('tar.gz');
    try {
      await pack(archive);
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

/** Returns a digest of the names and sizes of all cached files, or an empty one if there are none. */
function contents() {
  const lines = directories().flatMap((directory) => {
    const names = fs.existsSync(directory) ? fs.readdirSync(directory, { recursive: true }) : [];
    const files = names.map((name) => path.join(directory, name)).map((file) => [file, fs.lstatSync(file)]);
    return files.filter(([, stat]) => stat.isFile()).map(([file, stat]) => `${file} ${stat.size}`);
  });
  return lines.length ? crypto.createHash('sha256').update(lines.sort().join('\n')).digest('hex').slice(0, 32) : '';
}

async function pack(archive) {
  const present = directories().filter((directory) => fs.existsSync(directory)).map((directory) => directory.slice(1));
  const tar = spawn('tar', ['-C', '/', '-cf', '-', ...present], { stdio: ['ignore', 'pipe', 'inherit'] });
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

/** Waits for the process that makes a cache of the Java machine after the last session. Only Linux shows it. */
async function trained() {
  const names = ['cratedb-keeper', 'cratedb-trainer'];
  const works = () => processes().some((name) => names.includes(name));
  if (process.env.CRATEDB_TEST_JVM_CACHE !== '1' || !works()) return;
  runner.say('waiting for the cache of the Java machine');
  const deadline = Date.now() + TRAINING_MS;
  while (works() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
}

/** Returns the first argument of each process of this machine. */
function processes() {
  try {
    return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0];
      } catch {
        return '';
      }
    });
  } catch {
    return [];
  }
}

module.exports = { restore, save };
