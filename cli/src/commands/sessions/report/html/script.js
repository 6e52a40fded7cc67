'use strict';
// Sorts the table of tests by a column, and shows those of its rows that have a text. The page is whole without it.
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const value = (row, at) => {
    const cell = row.cells[at];
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    return cell.classList.contains('n') ? Number(cell.textContent) : cell.textContent;
  };
  const order = (a, b) => (typeof a === 'number' ? a - b : a < b ? -1 : a > b ? 1 : 0);
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const rows = [...body.rows].map((row) => [value(row, at), row]);
      rows.sort(([a], [b]) => (down ? order(b, a) : order(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
const filter = document.getElementById('filter');
if (filter) {
  const rows = [...document.querySelectorAll('table.sortable tbody tr')];
  const [input, status] = [filter.querySelector('input'), filter.querySelector('[role=status]')];
  const show = () => {
    const wanted = input.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      if (!row.hidden) shown += 1;
    }
    status.textContent = `${shown} of ${rows.length}`;
  };
  input.addEventListener('input', show);
  status.textContent = `${rows.length} of ${rows.length}`;
  filter.hidden = false;
}
