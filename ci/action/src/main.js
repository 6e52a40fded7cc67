// The main step: restores the cache, starts the session, and tells later steps about it.
'use strict';

const { spawn } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const cache = require('./cache');
const program = require('./program');
const runner = require('./runner');

const SECRETS = ['CRATEDB_CLOUD_API_KEY', 'CRATEDB_CLOUD_API_SECRET', 'CRATEDB_PASSWORD'];
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

async function main() {
  if (process.platform === 'win32') throw new runner.Failure('test sessions need Linux or macOS, and this is Windows');
  maskSecrets();
  const wanted = {
    cache: runner.flag('cache'),
    summary: runner.flag('summary'),
    wait: runner.flag('wait'),
    session: sessionName(),
    directory: projectDirectory(),
    program: program.find(runner.input('program')),
  };
  await tellVersion(wanted);
  const place = fs.mkdtempSync(path.join(process.env.RUNNER_TEMP || os.tmpdir(), 'cratedb-session-'));
  const report = reportFile(wanted.directory, place);
  const order = { ...wanted, report };
  fs.writeFileSync(path.join(place, 'order.json'), JSON.stringify(order));
  // Before anything is held: from here on, the post step ends what there is.
  runner.saveState('order', JSON.stringify(order));
  runner.saveState('place', place);
  runner.setOutput('session', wanted.session);

  const restored = wanted.cache ? await cache.restore() : undefined;
  if (restored) runner.saveState('restored', restored);
  runner.setOutput('cache-hit', String(Boolean(restored)));

  const environment = await started(place, order);
  for (const [name, value] of Object.entries(environment)) runner.exportVariable(name, value);
  runner.exportVariable('CRATEDB_TEST_REPORT', report);
  runner.saveState('started', 'true');
  runner.setOutput('url', environment.CRATEDB_TEST_SESSION_URL ?? '');
}

/** Hides secrets that the runner does not know yet, such as a password inside of an address. */
function maskSecrets() {
  for (const name of SECRETS) runner.mask(process.env[name] ?? '');
  const inside = /^[^:]*:\/\/[^/]*?:(.*)@[^@]*$/.exec(process.env.CRATEDB_CLUSTER_URL ?? '')?.[1];
  if (!inside) return;
  runner.mask(inside);
  try {
    runner.mask(decodeURIComponent(inside));
  } catch {
    // The program refuses such an address, and does not show it.
  }
}

function sessionName() {
  const given = runner.input('session') || process.env.CRATEDB_TEST_SESSION;
  const from = runner.input('session') ? 'input session' : 'CRATEDB_TEST_SESSION';
  const run = `github-${process.env.GITHUB_RUN_ID ?? '0'}-${process.env.GITHUB_RUN_ATTEMPT ?? '1'}`;
  // Jobs of one run may share a machine, and must not share a session.
  const name = given || `${run}-${crypto.randomBytes(4).toString('hex')}`;
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(name)) {
    const accepted = '1 to 64 of letters, digits, `.`, `_` and `-`';
    throw new runner.Failure(`${from}=\`${name}\`: accepted are ${accepted}`);
  }
  return name;
}

function projectDirectory() {
  const given = runner.input('working-directory');
  const directory = path.resolve(process.env.GITHUB_WORKSPACE || '.', given);
  if (!fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    throw new runner.Failure(`input working-directory=\`${given}\`: accepted is a directory, and there is none at ` +
      `${directory}; check the repository out before this step`);
  }
  return directory;
}

/** Tells the version, which also shows that the program can be run at all. */
async function tellVersion(wanted) {
  const told = [];
  const { code, out } = await program.run(wanted.program, ['--version'], {}, (line) => told.push(line));
  if (code !== 0) {
    throw new runner.Failure(`input program=\`${wanted.program}\`: \`--version\` failed\n${told.join('\n')}`);
  }
  runner.say(out.trim());
}

/** Returns the file for the session's report: the user's, else one that only the post step reads. */
function reportFile(directory, place) {
  const given = process.env.CRATEDB_TEST_REPORT;
  return given ? path.resolve(directory, given) : path.join(place, 'report.ndjson');
}

/** Starts the holder. Returns the variables of the session once it is ready, or at once if it is not waited for. */
function started(place, order) {
  const environment = {
    ...process.env,
    CRATEDB_TEST_REPORT: order.report,
    // Files of the steps are none of its business.
    GITHUB_ENV: '', GITHUB_OUTPUT: '', GITHUB_STATE: '', GITHUB_STEP_SUMMARY: '', GITHUB_PATH: '',
  };
  const log = fs.openSync(path.join(place, 'holder.log'), 'a', 0o600);
  const holder = spawn(process.execPath, [path.join(__dirname, 'holder.js'), place], {
    detached: true, env: environment, stdio: ['ignore', 'pipe', log],
  });
  fs.closeSync(log);
  return new Promise((resolve, reject) => {
    const leave = (then) => {
      holder.stdout.destroy();
      holder.unref();
      then();
    };
    for (const [signal, code] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        holder.kill('SIGTERM');
        runner.error(`${signal} while the cluster was waited for; the post step ends the session`);
        process.exit(code);
      });
    }
    const done = (variables) => leave(() => resolve(variables));
    const failed = (text) => leave(() => reject(new runner.Failure(text)));
    holder.on('error', (cause) => failed(`cannot start ${process.execPath}: ${cause.message}`));
    holder.on('close', () => failed(`the process that holds the session ended; its log: ${tail(place)}`));
    readline.createInterface({ input: holder.stdout }).on('line', (line) => {
      const { say, ready, over } = JSON.parse(line);
      if (say !== undefined) runner.say(say);
      if (ready) done(ready);
      else if (over) failed(`no session: ${program.why(over)}`);
      // The settings were read, and the cluster is on its way.
      else if (say !== undefined && !order.wait) done({ CRATEDB_TEST_SESSION: order.session });
    });
  });
}

function tail(place) {
  return fs.readFileSync(path.join(place, 'holder.log'), 'utf8').slice(-2000).trim() || 'empty';
}

runner.step(main);
