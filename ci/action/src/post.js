// The post step: ends the session whatever the job did, and says what became of the cluster.
//
// It may run without a main step, after one that was killed, and twice. It fails if the cluster may run on.
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const readline = require('node:readline');
const cache = require('./cache');
const holder = require('./holder');
const program = require('./program');
const runner = require('./runner');
const { summary } = require('./summary');

/** The exit code of `cargo-cratedb` for a session that it does not know: nothing is held. */
const NOT_FOUND = 4;

async function main() {
  const place = runner.state('place');
  if (!place) return runner.say('the main step started no session, so there is none to end');
  const done = path.join(place, 'done');
  if (fs.existsSync(done)) return runner.say(`the session was ended before: ${fs.readFileSync(done, 'utf8')}`);
  const order = JSON.parse(runner.state('order'));

  const over = await ended(place);
  const fate = await fateOf(order, over);
  if (order.summary) runner.summarize(summary(order, over, fate, await report(order)));
  if (fate.owed) throw new runner.Failure(`session ${order.session}: the cluster may still run: ${fate.text}`);
  fs.writeFileSync(done, fate.text);
  runner.say(`session ${order.session} is over: ${fate.text}`);
  if ((over.early || over.code === undefined) && runner.state('started')) {
    const then = 'ended before the job did, and tests after that held the cluster on their own';
    runner.warning(`session ${order.session} ${then}: ${program.why(over)}`);
  }
  if (order.cache) await cache.save(runner.state('restored'));
}

/** Returns what the keeper recorded of the session, as Markdown; nothing if it is not there. */
async function report(order) {
  const args = ['report', '--session', order.session, '--markdown', '--quiet'];
  try {
    const { code, out } = await program.run(order.program, args, { cwd: order.directory, env: process.env });
    return code === 0 ? out : undefined;
  } catch {
    // A step may have removed the program or the checkout. The session is over all the same.
    return undefined;
  }
}

/** Ends the session. Returns how it ended, with no code if its holder can't be reached. */
async function ended(place) {
  // A step may have emptied the runner's directory for temporary files. The session has its name still.
  fs.mkdirSync(place, { recursive: true });
  process.chdir(place);
  // A holder that does not listen yet looks for this file as soon as it does.
  fs.writeFileSync(holder.ENDED, '');
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) {
    process.on(signal, () => {
      runner.error(`${signal} while the session was ended; the keeper goes on, and nothing waits for it`);
      process.exit(code);
    });
  }
  return (await asked()) ?? left() ?? {};
}

/** Asks the holder to end the session, and waits for its last line. Returns nothing if no holder listens. */
function asked() {
  return new Promise((resolve) => {
    let over;
    const socket = net.createConnection(holder.SOCKET, () => socket.write('end\n'));
    socket.on('error', () => resolve(over)).on('close', () => resolve(over));
    // What was said before that was shown by the main step, or is in the way.
    let news = false;
    const lines = readline.createInterface({ input: socket });
    lines.on('error', () => {});
    lines.on('line', (line) => {
      const message = JSON.parse(line);
      news ||= Boolean(message.heard);
      if (news && message.say !== undefined) runner.say(message.say);
      over = message.over ?? over;
    });
  });
}

/** Returns the outcome of a session that was over before anyone asked. */
function left() {
  return fs.existsSync(holder.OUTCOME) ? JSON.parse(fs.readFileSync(holder.OUTCOME, 'utf8')) : undefined;
}

/** Returns what became of the cluster. If `cargo cratedb test` did not end well, another look decides. */
async function fateOf(order, over) {
  if (over.code === 0) {
    const { cluster_outcome: outcome, cluster_detail: detail } = over.document ?? {};
    const text = outcome ? `cluster ${outcome}${detail ? ` (${detail})` : ''}` : 'nothing was started';
    return { owed: false, text };
  }
  const environment = { ...process.env, CRATEDB_TEST_SESSION: order.session };
  const args = ['finish', '--wait', '--output', 'json'];
  const { code, out } = await program.run(order.program, args, { cwd: order.directory, env: environment }, runner.say);
  const finished = program.document(out);
  const details = Array.isArray(finished) ? finished.map((one) => `${one.outcome} ${one.detail}`.trim()) : [];
  const text = finished?.error?.message ?? (details.join('; ') || 'nothing is held any more');
  return { owed: code !== 0 && code !== NOT_FOUND, text };
}

runner.step(main);
