// The table in the summary of the job.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { summary, table } = require('../src/summary');

const FATE = { owed: false, text: 'cluster suspended' };

function withReport(text) {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'action-test-'));
  const report = path.join(place, 'report');
  fs.writeFileSync(report, text);
  try {
    return table({ session: 's', report }, {}, FATE);
  } finally {
    fs.rmSync(place, { recursive: true });
  }
}

test('it has the numbers of its own session, the newest ones', () => {
  const other = '{"name":"other","tests":9,"resource":"not this"}';
  const [first, last] = [1, 2].map((tests) => JSON.stringify({
    name: 's', resource: 'cluster `ci`', tests, processes: 3, binaries: 2,
    began_at_ms: 1000, released_at_ms: 61_500, ready_after_ms: 1234,
  }));
  const shown = withReport(`${first}\n${last}\n${other}\n{"name":"s","te`);
  assert.ok(shown.startsWith('### CrateDB session `s`\n\n| | |\n|---|---|\n| cluster | cluster `ci` |\n'), shown);
  assert.ok(shown.includes('| ready after | 1.2 s |\n| held for | 60.5 s |\n'), shown);
  assert.ok(shown.includes('| tests | 2 in 3 processes of 2 programs |\n| at the end | cluster suspended |\n'), shown);
  assert.ok(!shown.includes('not this'));
});

test('what is not known is left out', () => {
  const shown = table({ session: 's', report: '/nowhere' }, {}, FATE);
  assert.strictEqual(shown, '### CrateDB session `s`\n\n| | |\n|---|---|\n| at the end | cluster suspended |\n\n');
  assert.ok(!withReport('{"name":"s","tests":0,"ready_after_ms":null}').includes('null'));
});

test('a pipe is not waited for', () => {
  assert.ok(table({ session: 's', report: '/dev/tty' }, {}, FATE).includes('suspended'));
});

test('text from elsewhere stays in its cell', () => {
  const over = { document: { cluster: 'a|b\n| c | <img src=x> &' } };
  const shown = table({ session: 's', report: '/nowhere' }, over, { owed: true, text: 'no\nanswer' });
  assert.ok(shown.includes('| cluster | a\\|b<br>\\| c \\| &#60;img src=x&#62; &#38; |\n'), shown);
  assert.ok(shown.includes('| at the end | **may still run**: no<br>answer |\n'), shown);
});

test('the report has its end, and without a report there is the table', () => {
  const report = '### CrateDB session `s`\n\n| | |\n|---|---|\n| bill | 1 s |\n\n| waited | |\n|---|---|\n';
  const order = { session: 's', report: '/nowhere' };
  const shown = summary(order, {}, { owed: false, text: 'cost $& and $1' }, report);
  assert.ok(shown.startsWith('### CrateDB session `s`\n\n| | |\n|---|---|\n| at the end | cost $&#38; and $1 |\n| bill |'), shown);
  assert.strictEqual(shown.match(/at the end/g).length, 1);
  for (const none of [undefined, '', 'nonsense']) {
    assert.strictEqual(summary(order, {}, FATE, none), table(order, {}, FATE));
  }
});
