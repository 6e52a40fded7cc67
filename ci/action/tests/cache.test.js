// The cache, against a small stand-in of GitHub's cache service and of its storage.
'use strict';

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { afterEach, beforeEach, test } = require('node:test');

const CACHE = path.join(__dirname, '../src/cache.js');
const TOKEN = 'token-of-the-tests';

let home;
let service;

/** Answers as the service does, as far as the action knows it. */
class Service {
  entries = new Map();
  calls = [];
  /** A status with which every request for a path is answered. */
  fault = undefined;

  async start() {
    this.server = http.createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const answer = this.answer(request, Buffer.concat(chunks));
      response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' });
      response.end(Buffer.isBuffer(answer.body) ? answer.body : JSON.stringify(answer.body ?? {}));
    });
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}/`;
  }

  answer(request, bytes) {
    const name = request.url.split('?')[0].split('/').at(-1);
    this.calls.push(name);
    if (this.fault && name === this.fault.name) return { status: this.fault.status, body: { msg: 'on purpose' } };
    if (request.url.startsWith('/storage/')) return this.store(request, name, bytes);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return { status: 401 };
    assert.match(request.url, /^\/twirp\/github\.actions\.results\.api\.v1\.CacheService\//);
    return this[name](JSON.parse(bytes));
  }

  store(request, id, bytes) {
    const entry = [...this.entries.values()].find((entry) => entry.id === id);
    // The storage knows its requests by what is signed in their address.
    assert.strictEqual(request.headers.authorization, undefined);
    assert.match(request.url, /\?sig=secret$/);
    if (request.method === 'GET') return { body: entry.bytes };
    assert.strictEqual(request.headers['x-ms-blob-type'], 'BlockBlob');
    assert.strictEqual(request.headers['transfer-encoding'], undefined);
    entry.bytes = bytes;
    return { status: 201 };
  }

  CreateCacheEntry({ key, version }) {
    if (this.entries.has(key)) return { status: 409, body: { code: 'already_exists' } };
    const id = String(this.entries.size);
    this.entries.set(key, { id, key, version, done: false });
    return { body: { ok: true, signed_upload_url: `${this.url}storage/${id}?sig=secret` } };
  }

  FinalizeCacheEntryUpload({ key, version, size_bytes: size }) {
    const entry = this.entries.get(key);
    entry.done = entry.version === version && Number(size) === entry.bytes.length;
    return { body: { ok: entry.done, entry_id: entry.id } };
  }

  GetCacheEntryDownloadURL({ key, restore_keys: keys, version }) {
    const begins = (entry) => [key, ...keys].some((one) => entry.key.startsWith(one));
    const usable = [...this.entries.values()].filter((entry) => entry.done && entry.version === version);
    const entry = usable.findLast(begins);
    if (!entry) return { body: { ok: false, signed_download_url: '', matched_key: '' } };
    const address = `${this.url}storage/${entry.id}?sig=secret`;
    return { body: { ok: true, signed_download_url: address, matched_key: entry.key } };
  }
}

beforeEach(async () => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'action-test-'));
  service = new Service();
  await service.start();
});

afterEach(() => {
  service.server.close();
  service.server.closeAllConnections();
  fs.rmSync(home, { recursive: true });
});

/** Runs one of the two functions in a process of its own. Returns its result and what it printed. */
async function ran(call, more = {}) {
  const code = `require(${JSON.stringify(CACHE)}).${call}.then((r) => console.log('result', JSON.stringify(r)))`;
  const env = {
    PATH: process.env.PATH, XDG_CACHE_HOME: home, RUNNER_TEMP: home, RUNNER_OS: 'Linux', RUNNER_ARCH: 'X64',
    ACTIONS_RESULTS_URL: service.url, ACTIONS_RUNTIME_TOKEN: TOKEN, ...more,
  };
  // Root has a second directory, which these tests leave alone.
  const as = process.getuid() === 0 ? `process.getuid = () => 1000; ${code}` : code;
  const child = spawn(process.execPath, ['-e', as], { env });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (out += text));
  const status = await new Promise((resolve) => child.on('close', resolve));
  assert.strictEqual(status, 0, out);
  assert.ok(!out.includes(TOKEN) && !out.includes('sig=secret'), out);
  return { out, result: /^result (.*)$/m.exec(out)?.[1] };
}

function put(name, text) {
  const file = path.join(home, 'cratedb-test', name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
  return file;
}

test('what one job has saved the next one has, with times and modes', async () => {
  const program = put('releases/6.4.3/bin/crate', '#!/bin/sh\n');
  fs.chmodSync(program, 0o755);
  fs.utimesSync(program, 1_700_000_000, 1_700_000_000);
  fs.symlinkSync('crate', `${program}.link`);
  put('releases/6.4.3/lib/large.jar', Buffer.alloc(3 << 20, 'x'));
  assert.match((await ran(`save('')`)).out, /^saved cratedb-test-Linux-X64-[0-9a-f]{32} in the cache, /m);
  assert.deepStrictEqual(fs.readdirSync(home), ['cratedb-test'], 'the archive is removed');
  fs.rmSync(path.join(home, 'cratedb-test'), { recursive: true });

  const { result } = await ran('restore()');

  assert.match(result, /^"cratedb-test-Linux-X64-/);
  const stat = fs.statSync(program);
  assert.deepStrictEqual([stat.mode & 0o777, stat.mtimeMs], [0o755, 1_700_000_000_000]);
  assert.strictEqual(fs.readlinkSync(`${program}.link`), 'crate');
  assert.match((await ran(`save(${result})`)).out, /^the cache has all of it$/m);
  assert.strictEqual(service.calls.filter((name) => name === 'CreateCacheEntry').length, 1);
});

test('the newest entry is restored, and none of another system', async () => {
  put('a', '1');
  await ran(`save('')`);
  put('b', '2');
  await ran(`save('')`);
  fs.rmSync(path.join(home, 'cratedb-test'), { recursive: true });
  assert.match((await ran('restore()', { RUNNER_ARCH: 'ARM64' })).out, /has no release of CrateDB yet/);
  assert.match((await ran('restore()', { XDG_CACHE_HOME: '/elsewhere' })).out, /has no release of CrateDB yet/);
  await ran('restore()');
  assert.deepStrictEqual(fs.readdirSync(path.join(home, 'cratedb-test')), ['a', 'b']);
});

test('two jobs that save the same do not disturb each other', async () => {
  put('a', '1');
  await ran(`save('')`);
  assert.match((await ran(`save('')`)).out, /another job has saved the same/);
});

test('an empty cache is not saved', async () => {
  assert.match((await ran(`save('')`)).out, /there is nothing to cache/);
  assert.deepStrictEqual(service.calls, []);
});

test('a runner without the service is told so', async () => {
  for (const missing of ['ACTIONS_RESULTS_URL', 'ACTIONS_RUNTIME_TOKEN']) {
    assert.match((await ran('restore()', { [missing]: '' })).out, /^this runner has no cache service/);
  }
});

test('failures are warnings that name the call and the status', async () => {
  put('a', '1');
  for (const [call, name, status, part] of [
    ['restore()', 'GetCacheEntryDownloadURL', 500, /GetCacheEntryDownloadURL was answered with 500: .*on purpose/],
    [`save('')`, 'CreateCacheEntry', 429, /CreateCacheEntry was answered with 429/],
    [`save('')`, '0', 403, /the upload was answered with 403/],
  ]) {
    service.fault = { name, status };
    const { out, result } = await ran(call);
    assert.match(out, /^::warning::nothing was (saved|restored) /m);
    assert.match(out, part);
    assert.strictEqual(result, 'undefined');
  }
});

test('of an entry that is not whole nothing is restored', async () => {
  put('a', Buffer.alloc(1 << 20, 'x'));
  await ran(`save('')`);
  fs.rmSync(path.join(home, 'cratedb-test'), { recursive: true });
  const [entry] = service.entries.values();
  for (const bytes of [entry.bytes.subarray(0, -9), Buffer.from('no archive')]) {
    entry.bytes = bytes;
    assert.match((await ran('restore()')).out, /^::warning::nothing was restored from the cache: /m);
    assert.deepStrictEqual(fs.readdirSync(home), []);
  }
});

test('a service that does not answer is a warning', async () => {
  const { out } = await ran('restore()', { ACTIONS_RESULTS_URL: 'http://127.0.0.1:9/' });
  assert.match(out, /^::warning::nothing was restored from the cache: .*(ECONNREFUSED|bad port)/m);
});
