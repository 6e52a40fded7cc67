// The process that holds the session between the main step and the post step.
//
// It runs `cargo cratedb test` around a command that reads its stdin to the end. Its other end is here: the session
// ends when this process closes it or dies, however it dies. The two steps hear lines of JSON: the main step on
// stdout, the post step on a socket, whose path is short since it is relative to the session's directory.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const readline = require('node:readline');
const { document } = require('./program');

const INSIDE = '--inside';
const SOCKET = 'socket';
const OUTCOME = 'outcome.json';
/** The post step makes this file before it asks for the end. */
const ENDED = 'ended';
const LOOK_MS = 1000;

/** Variables that `cargo cratedb test` sets for its command. */
const VARIABLES = ['CRATEDB_TEST_SESSION', 'CRATEDB_TEST_SESSION_IDLE', 'CRATEDB_TEST_SESSION_URL'];

/** Is the command of the session: tells its environment, and lives as long as the holder. */
function inside() {
  const environment = VARIABLES.filter((name) => process.env[name]).map((name) => [name, process.env[name]]);
  fs.writeSync(3, `${JSON.stringify(Object.fromEntries(environment))}\n`);
  process.stdin.resume().on('end', () => process.exit(0));
}

function hold() {
  const { program, session, directory } = JSON.parse(fs.readFileSync('order.json', 'utf8'));
  const listeners = new Set([process.stdout]);
  // The main step ends long before this process.
  process.stdout.on('error', () => listeners.delete(process.stdout));
  const ended = path.resolve(ENDED);
  const past = [];
  const tell = (message) => {
    past.push(message);
    for (const listener of listeners) listener.write(`${JSON.stringify(message)}\n`);
  };
  let end = () => {};
  const server = net.createServer((socket) => {
    socket.on('error', () => {}).on('close', () => listeners.delete(socket)).on('data', () => end());
    [...past, { heard: true }].forEach((message) => socket.write(`${JSON.stringify(message)}\n`));
    listeners.add(socket);
  });
  let isOver = false;
  const over = (outcome) => {
    if (isOver) return;
    isOver = true;
    keep(outcome);
    tell({ over: outcome });
    server.close();
    listeners.forEach((listener) => listener !== process.stdout && listener.end());
  };
  server.on('error', (cause) => over(failure(1, `the process that holds the session can't listen: ${cause.message}`)));
  server.listen(SOCKET, () => {
    // The main step was killed before this process listened, and the post step has looked for it already.
    if (fs.existsSync(ended)) over({ code: 0 });
    else end = start(program, session, directory, tell, over);
  });
  // The socket may have been removed, with the whole directory.
  setInterval(() => fs.existsSync(ended) && end(), LOOK_MS).unref();
}

/** Writes the outcome for a step that comes later. Its directory may be gone. */
function keep(outcome) {
  try {
    fs.writeFileSync(`${OUTCOME}.new`, JSON.stringify(outcome));
    fs.renameSync(`${OUTCOME}.new`, OUTCOME);
  } catch (cause) {
    process.stderr.write(`${cause.message}\n`);
  }
}

/** Returns an outcome as `cargo cratedb` tells its failures. */
const failure = (code, message) => ({ code, document: { error: { message } } });

/** Starts the session. Returns the function that ends it. */
function start(program, session, directory, tell, over) {
  const args = ['test', '--output', 'json', '--session', session, '--', process.execPath, __filename, INSIDE];
  const child = spawn(program, args, { cwd: directory, stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
  let [out, ready, asked, early] = ['', false, false, false];
  child.stdin.on('error', () => {});
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  readline.createInterface({ input: child.stderr }).on('line', (line) => tell({ say: line }));
  readline.createInterface({ input: child.stdio[3] }).on('line', (line) => {
    ready = true;
    tell({ ready: JSON.parse(line) });
  });

  child.on('error', (cause) => over(failure(127, `cannot run ${program}: ${cause.message}`)));
  child.on('exit', () => {
    early = !asked;
    // If it was killed, its command lives on, with pipes that would never close.
    child.stdin.end();
  });
  child.on('close', (code, signal) => over({ early, code, signal, document: document(out) }));
  const end = () => {
    if (asked) return;
    asked = true;
    child.stdin.end();
    // The command does not run yet: the wait for the cluster is given up.
    if (!ready) child.kill('SIGTERM');
  };
  ['SIGINT', 'SIGTERM', 'SIGHUP'].forEach((signal) => process.on(signal, end));
  return end;
}

if (require.main === module) {
  if (process.argv[2] === INSIDE) {
    inside();
  } else {
    process.chdir(path.resolve(process.argv[2]));
    hold();
  }
}

module.exports = { ENDED, OUTCOME, SOCKET };
