'use strict';
// Reads what matters out of the page in the frame `f`, without changing it; then sorts and filters its table. The
// element `out` has the result.
addEventListener('load', () => {
  const f = document.getElementById('f');
  const [d, w] = [f.contentDocument, f.contentWindow];
  // Asking for the width lays everything out.
  const scroll = d.documentElement.scrollWidth;
  // The frame's own clock begins with its page.
  const ms = w.performance.now();

  const all = (selector) => [...d.querySelectorAll(selector)];
  const sticksOut = (x) => !x.closest('.scroll') && !x.closest('svg') && x.getBoundingClientRect().right > w.innerWidth + 1;
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const channel = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = (color) => {
    const [r, g, b] = parts(color).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (x) => {
    for (let y = x; y; y = y.parentElement) {
      const color = w.getComputedStyle(y).backgroundColor;
      if (parts(color)[3] !== 0) return color;
    }
    return 'rgb(255,255,255)';
  };
  const contrast = (x) => {
    const two = [light(w.getComputedStyle(x).color), light(behind(x))].sort((a, b) => a - b);
    return (two[1] + 0.05) / (two[0] + 0.05);
  };
  const texts = all('h1, h2, p, dt, dd, small, th, figcaption, summary, .note, footer, th button');
  texts.push(...all('td').slice(0, 100));
  const closed = (x) => x.closest('details:not([open])') && x.tagName !== 'SUMMARY';
  const focused = all('button, input, summary, [tabindex]').filter((x) => !closed(x)).map((x) => {
    x.focus();
    return d.activeElement === x;
  });
  const out = {
    scroll,
    ms,
    inner: w.innerWidth,
    wide: all('body *').filter(sticksOut).map((x) => x.outerHTML.slice(0, 80)).slice(0, 5),
    rows: all('table.sortable tbody tr').length,
    bars: all('svg rect').length,
    foreign: all('img, iframe, link, object, embed').length,
    scripts: all('script').length,
    dark: w.matchMedia('(prefers-color-scheme: dark)').matches,
    contrast: Math.min(...texts.map(contrast)),
    focus: focused.length > 0 && focused.every(Boolean),
    buttons: all('th button').length,
    text: d.body.innerText.slice(0, 3000),
  };

  const table = d.querySelector('table.sortable');
  const button = table.tHead.rows[0].cells[4].querySelector('button');
  const ran = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[4].dataset.v));
  const sorted = (a, order) => a.every((v, i) => i === 0 || order(a[i - 1], v));
  button.click();
  out.up = sorted(ran(), (a, b) => a <= b) && button.parentElement.ariaSort === 'ascending';
  button.click();
  out.down = sorted(ran(), (a, b) => a >= b) && button.parentElement.ariaSort === 'descending';

  const input = d.querySelector('#filter input');
  input.value = 'NUMBER_7';
  input.dispatchEvent(new w.Event('input'));
  out.found = [...table.tBodies[0].rows].filter((row) => w.getComputedStyle(row).display !== 'none').length;
  out.status = d.querySelector('[role=status]').textContent;
  document.getElementById('out').textContent = JSON.stringify(out);
});
