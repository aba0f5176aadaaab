const all = (what, within = document) => [...within.querySelectorAll(what)];
for (const block of all('.paste')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Copy';
  button.addEventListener('click', async () => {
    const lines = block.querySelector('pre');
    try {
      await navigator.clipboard.writeText(lines.textContent);
    } catch {
      // Pages of the file system may have no clipboard of their own.
      getSelection().selectAllChildren(lines);
      document.execCommand('copy');
    }
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  block.prepend(button);
}
for (const log of all('.log')) {
  const pre = log.querySelector('pre');
  const lines = pre.textContent.split('\n');
  const input = document.createElement('input');
  input.type = 'search';
  input.placeholder = 'Search this log';
  input.setAttribute('aria-label', 'Search this log');
  const found = document.createElement('output');
  input.addEventListener('input', () => {
    const wanted = input.value.toLowerCase();
    const left = lines.filter((line) => line.toLowerCase().includes(wanted));
    pre.textContent = left.join('\n');
    found.textContent = wanted ? `${left.length} of ${lines.length} lines` : '';
  });
  pre.before(input, found);
}
// What is folded is on paper too.
addEventListener('beforeprint', () => all('details').forEach((one) => { one.open = true; }));
