addEventListener('load', async () => {
  const some = (what) => [...document.querySelectorAll(what)];
  const seen = (one) => one.checkVisibility() && one.getBoundingClientRect().width > 0;
  const name = (one) => `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`;
  const page = document.documentElement;
  const scrolls = (one) => one.closest('.wide') !== null || one.parentElement.closest('pre') !== null;
  const boxes = some('h1, h2, h3, p, li, dt, dd, pre, td, th, summary, button, input, article').filter(seen);
  const overlap = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const lines = (one) => {
    const range = document.createRange();
    range.selectNodeContents(one);
    return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size;
  };
  const result = {
    width: innerWidth,
    is_dark: matchMedia('(prefers-color-scheme: dark)').matches,
    too_wide: page.scrollWidth - page.clientWidth,
    asked_for: performance.getEntriesByType('resource').length,
    sticking_out: boxes.filter((one) => !scrolls(one) && one.getBoundingClientRect().right > innerWidth + 1).map(name),
    // A word for an outcome, or a button's, is never cut in two.
    broken: some('.suite td:first-child, #matrix td, button').filter((one) => seen(one) && lines(one) > 1).map(name),
    overlapping: some('tr').filter(seen).filter((row) => [...row.children].some((a, index) =>
      [...row.children].slice(index + 1).some((b) => overlap(a.getBoundingClientRect(), b.getBoundingClientRect()))
    )).map(name),
    // Whatever can be done is done by keyboard too.
    unreached: some('summary, button, input, pre, .wide').filter(seen).filter((one) => {
      one.focus();
      return document.activeElement !== one;
    }).map(name),
    verdict: some('.verdict')[0]?.textContent,
    headings: some('h2').filter(seen).map((one) => one.textContent),
    cards: some('.card h3').filter(seen).map((one) => one.textContent),
    columns: some('#matrix thead th[scope=col]').filter(seen).map((one) => one.textContent),
    rows: some('#matrix tbody th').filter(seen).map((one) => one.textContent),
    bars: some('#times rect').filter(seen).length,
    marks: some('#times .mark').length,
    folded_logs: some('.log:not([open]) > summary').filter(seen).length,
    unseen_logs: some('.log:not([open]) > pre').filter((one) => !seen(one)).length,
  };
  const button = some('.paste button')[0];
  if (button) {
    document.addEventListener('selectionchange', () => { result.copied = String(getSelection()); });
    navigator.clipboard && (navigator.clipboard.writeText = async (text) => { result.copied = text; });
    button.click();
    await new Promise((done) => setTimeout(done, 500));
    result.button = button.textContent;
  }
  const log = some('.log')[0];
  if (log) {
    log.open = true;
    const input = log.querySelector('input');
    const search = (wanted) => {
      input.value = wanted;
      input.dispatchEvent(new Event('input'));
      return log.querySelector('pre').textContent.split('\n').filter((line) => line !== '').length;
    };
    result.searched = { with: search('api LISTEN on'), told: log.querySelector('output').textContent, without: search('no line has this') };
    search('');
  }
  const judged = await axe.run(document, { resultTypes: ['violations'] });
  result.axe = judged.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).slice(0, 2)}`);
  document.title = JSON.stringify(result);
});
