// The protocol between a step of an action and the runner: inputs, files, and commands on stdout.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');

/** A mistake of the workflow or a failure that people can act on. It is shown without a stack. */
class Failure extends Error {}

/** Returns an input without blanks around it. An input that is not given is empty. */
function input(name) {
  return (process.env[`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`] ?? '').trim();
}

/** Returns an input that is `true` or `false`. */
function flag(name) {
  const value = input(name);
  if (value === 'true' || value === 'false') return value === 'true';
  throw new Failure(`input ${name}=\`${value}\`: accepted are true and false`);
}

/** Returns what the main step saved for the post step. */
function state(name) {
  return process.env[`STATE_${name}`] ?? '';
}

/** Appends a value to one of the runner's files, between lines that the value can't have. */
function append(file, name, value) {
  const path = process.env[file];
  if (!path) throw new Failure(`${file} is not set: this action needs the runner of GitHub Actions`);
  const mark = `cratedb_${crypto.randomUUID()}`;
  fs.appendFileSync(path, `${name}<<${mark}\n${value}\n${mark}\n`);
}

const saveState = (name, value) => append('GITHUB_STATE', name, value);
const setOutput = (name, value) => append('GITHUB_OUTPUT', name, value);

/** Sets a variable for the steps that follow. */
const exportVariable = (name, value) => append('GITHUB_ENV', name, value);

/** Appends Markdown to the summary of the job. Runners without summaries have no such file. */
function summarize(markdown) {
  if (process.env.GITHUB_STEP_SUMMARY) fs.appendFileSync(process.env.GITHUB_STEP_SUMMARY, markdown);
}

function escaped(text) {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function command(name, text) {
  process.stdout.write(`::${name}::${escaped(text)}\n`);
}

const error = (text) => command('error', text);
const warning = (text) => command('warning', text);

/** Makes the runner replace a secret by `***` in all that it shows. It looks at single lines. */
function mask(secret) {
  for (const line of secret.split(/\r?\n/).filter((line) => line.trim())) command('add-mask', line);
}

/** Prints text of another program. The runner takes none of it for a command. */
function say(text) {
  const lines = text.split(/\r\n|\r|\n/).map((line) => line.replace(/^\s*::/, '. ::').replaceAll('##[', '## ['));
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Runs a step. An error fails it, and is shown where people look for it. */
async function step(run) {
  try {
    await run();
  } catch (cause) {
    error(cause instanceof Failure ? cause.message : cause.stack);
    process.exitCode = 1;
  }
}

module.exports = {
  Failure, error, exportVariable, flag, input, mask, saveState, say, setOutput, state, step, summarize, warning,
};
