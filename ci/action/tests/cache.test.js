// The cache, against a small stand-in of GitHub's cache service and of its storage.
'use strict';

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { afterEach, beforeEach, test } = require('node:test');
const { Service, TOKEN } = require('./service');

const CACHE = path.join(__dirname, '../src/cache.js');

let home;
let service;

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

/** Runs one of the two functions in a process of its own. Returns its result and what it printed, first to `heard`. */
async function ran(call, more = {}, heard = () => {}) {
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
  child.stdout.once('data', heard);
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

test('a cache of the Java machine is waited for until it is whole or has failed', async () => {
  const about = { made: 'jvm/1f/about.json', failed: 'jvm/1f.failed' };
  for (const end of Object.values(about)) {
    put('jvm/1f.lock', '');
    put('jvm/1f/crate.aot', 'cache');
    const { out } = await ran(`save('')`, { CRATEDB_TEST_JVM_CACHE: '1' }, () => {
      assert.deepStrictEqual(service.calls, []);
      put(end, '{}');
    });
    assert.match(out, /^waiting for the cache of the Java machine\nsaved /m);
    service.calls = [];
    fs.rmSync(path.join(home, 'cratedb-test'), { recursive: true });
  }
});

test('half a cache of the Java machine is left out', async () => {
  put('jvm/1f.lock', '');
  put('jvm/1f/crate.aot', 'half');
  put('releases/whole', 'release');
  const soon = { CRATEDB_TEST_JVM_CACHE: '1', NODE_OPTIONS: `--require ${path.join(__dirname, 'soon.js')}` };
  assert.match((await ran(`save('')`, soon)).out, /^it takes longer than 120 s and is left out\nsaved /m);
  fs.rmSync(path.join(home, 'cratedb-test'), { recursive: true });
  await ran('restore()');
  assert.deepStrictEqual(fs.readdirSync(path.join(home, 'cratedb-test')), ['releases']);
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
