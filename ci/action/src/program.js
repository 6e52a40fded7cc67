// The program `cargo-cratedb`: where it is, and calls of it that end soon.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { Failure } = require('./runner');

const INSTALL =
  'install it in a step before this one: `cargo binstall cargo-cratedb`, or `cargo install cargo-cratedb --locked`';

/** Returns the path of the program, as a shell would find it, and in cargo's directory. */
function find(program) {
  const cargo = path.join(process.env.CARGO_HOME || path.join(os.homedir(), '.cargo'), 'bin');
  const directories = program.includes('/') ? ['.'] : [...(process.env.PATH ?? '').split(':').filter(Boolean), cargo];
  for (const directory of directories) {
    const candidate = path.resolve(directory, program);
    if (isProgram(candidate)) return candidate;
  }
  const where = program.includes('/') ? 'no such program' : `no such program in PATH or ${cargo}`;
  throw new Failure(`input program=\`${program}\`: ${where}\n${INSTALL}`);
}

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a program to its end. Each line on its stderr goes to `told`. Returns its exit code, or none if a signal ended
 * it, and its stdout.
 */
function run(program, args, options, told = () => {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
    readline.createInterface({ input: child.stderr }).on('line', told);
    child.on('error', (cause) => reject(new Failure(`cannot run ${program}: ${cause.message}`)));
    child.on('close', (code) => resolve({ code, out }));
  });
}

/** Returns the one document on a program's stdout, or nothing if there is none. */
function document(out) {
  try {
    return JSON.parse(out);
  } catch {
    return undefined;
  }
}

/** Says in the program's own words why a session ended. */
function why(over) {
  if (over.document?.error) return over.document.error.message;
  if (over.signal) return `cargo-cratedb was ended by ${over.signal}`;
  if (over.code === undefined) return 'the process that held it can not be reached';
  return `cargo-cratedb ended with exit code ${over.code}`;
}

module.exports = { document, find, run, why };
