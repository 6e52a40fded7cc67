// The part about a session in the summary of the job.
'use strict';

const fs = require('node:fs');

/** Returns a session as Markdown: the report of `cargo cratedb report`, with its end; without one, a table. */
function summary(order, over, fate, report) {
  const rows = '|---|---|\n';
  if (!report?.includes(rows)) return table(order, over, fate);
  return report.replace(rows, () => `${rows}| at the end | ${cell(end(fate))} |\n`);
}

const end = (fate) => (fate.owed ? `**may still run**: ${fate.text}` : fate.text);

/** Returns a session as Markdown. What is not known is left out. */
function table(order, over, fate) {
  const report = reportOf(order);
  const rows = [
    ['cluster', over.document?.cluster ?? report.resource],
    ['ready after', seconds(report.ready_after_ms)],
    ['held for', seconds(report.released_at_ms && report.released_at_ms - report.began_at_ms)],
    ['tests', report.tests && `${report.tests} in ${report.processes} processes of ${report.binaries} programs`],
    ['at the end', end(fate)],
  ];
  const lines = rows.filter(([, value]) => value).map(([name, value]) => `| ${name} | ${cell(value)} |`);
  return `### CrateDB session \`${order.session}\`\n\n| | |\n|---|---|\n${lines.join('\n')}\n\n`;
}

/** Returns the last line that the keeper wrote about the session. The file may be shared, and may not exist. */
function reportOf(order) {
  let text = '';
  try {
    // A pipe would never end.
    if (fs.statSync(order.report).isFile()) text = fs.readFileSync(order.report, 'utf8');
  } catch {
    return {};
  }
  return text.split('\n').map(parsed).findLast((report) => report?.name === order.session) ?? {};
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const seconds = (millis) => (typeof millis === 'number' ? `${(millis / 1000).toFixed(1)} s` : undefined);

/** Returns text that neither ends a cell nor becomes HTML. */
function cell(text) {
  return text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`).replaceAll('|', '\\|').replace(/\s*\n\s*/g, '<br>');
}

module.exports = { summary, table };
