// The protocol with the runner: what is written into its files and on stdout.
'use strict';

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const RUNNER = path.join(__dirname, '../src/runner.js');

/** Runs code with the module in a process of its own. Returns its exit code, its stdout, and the runner's files. */
function ran(code, environment = {}) {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'action-test-'));
  const files = ['GITHUB_ENV', 'GITHUB_STEP_SUMMARY'].map((name) => [name, path.join(place, name)]);
  files.forEach(([, file]) => fs.writeFileSync(file, ''));
  const env = { PATH: process.env.PATH, ...Object.fromEntries(files), ...environment };
  const done = spawnSync(process.execPath, ['-e', `const r = require(${JSON.stringify(RUNNER)}); ${code}`], { env });
  const texts = Object.fromEntries(files.map(([name, file]) => [name, fs.readFileSync(file, 'utf8')]));
  fs.rmSync(place, { recursive: true });
  return { code: done.status, out: done.stdout.toString(), ...texts };
}

test('a value of several lines arrives whole, whatever is in it', () => {
  const written = ran(`r.exportVariable('A', 'one\\nA<<EOF\\nEOF'); r.exportVariable('B', '')`).GITHUB_ENV;
  const [, mark] = /^A<<(\S+)\none\nA<<EOF\nEOF\n\1\nB<</.exec(written);
  assert.ok(mark.length > 20, 'nobody can guess the mark');
  assert.match(written, /B<<(\S+)\n\n\1\n$/);
});

test('errors and secrets are commands of one line', () => {
  assert.strictEqual(ran(`r.error('100 %\\r\\nof it')`).out, '::error::100 %25%0D%0Aof it\n');
  assert.strictEqual(ran(`r.mask('one\\n\\n two%\\r\\n')`).out, '::add-mask::one\n::add-mask:: two%25\n');
  assert.strictEqual(ran(`r.mask('')`).out, '');
});

test('text of other programs is no command', () => {
  const { out } = ran(`r.say('::error::no\\n  ::add-path::/x\\ra ##[group]b\\nplain :: text')`);
  assert.strictEqual(out, '. ::error::no\n. ::add-path::/x\na ## [group]b\nplain :: text\n');
});

test('a step that fails says why, and a mistake in the action shows where', () => {
  const failed = ran(`r.step(async () => { throw new r.Failure('no key') })`);
  assert.deepStrictEqual([failed.code, failed.out], [1, '::error::no key\n']);
  const broken = ran(`r.step(async () => undefined.x)`);
  assert.match(broken.out, /^::error::TypeError: .*%0A +at /);
});

test('flags are true or false', () => {
  assert.strictEqual(ran(`console.log(r.flag('a-b c'))`, { 'INPUT_A-B_C': ' false ' }).out, 'false\n');
  const refused = ran(`r.step(async () => r.flag('wait'))`, { INPUT_WAIT: 'True' });
  assert.strictEqual(refused.out, '::error::input wait=`True`: accepted are true and false\n');
});

test('without a runner the file that is missing is named', () => {
  const failed = ran(`r.step(async () => r.exportVariable('A', '1'))`, { GITHUB_ENV: '' });
  assert.strictEqual(failed.out, '::error::GITHUB_ENV is not set: this action needs the runner of GitHub Actions\n');
});

test('a runner without summaries gets none', () => {
  assert.strictEqual(ran(`r.summarize('x')`, { GITHUB_STEP_SUMMARY: '' }).code, 0);
  assert.strictEqual(ran(`r.summarize('x'); r.summarize('y')`).GITHUB_STEP_SUMMARY, 'xy');
});
