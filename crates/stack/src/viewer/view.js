// Tells the viewer how wide the window is, and draws anew in place. Without this script the page reloads itself, and is
// drawn for a usual width.
'use strict';
(() => {
  let timer = 0;
  let drawing = false;

  const main = () => document.querySelector('main');
  const width = () => document.documentElement.clientWidth;
  const tell = () => { document.cookie = `width=${width()}; path=/; SameSite=Strict`; };

  const plan = () => {
    clearTimeout(timer);
    const refresh = Number(main().dataset.refresh);
    if (refresh > 0) timer = setTimeout(draw, refresh);
  };

  const draw = async () => {
    if (drawing) return;
    if (document.hidden) return; // drawn when it is looked at again
    drawing = true;
    tell();
    try {
      const answer = await fetch(location.href, { cache: 'no-store' });
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const style = (of) => of.querySelector('head style').textContent;
      // Other places need another policy: the whole page comes anew.
      if (!answer.ok || style(page) !== style(document)) return location.reload();
      for (const part of ['.variables', 'main']) {
        const old = document.querySelector(part);
        // Who reads further down goes on reading there.
        const down = new Map([...document.querySelectorAll('.lines ol')].map((list) => [list.ariaLabel, list.scrollTop]));
        // A choice in the making is left alone.
        if (old && !(part === '.variables' && old.contains(document.activeElement))) {
          old.replaceWith(document.adoptNode(page.querySelector(part)));
          for (const list of document.querySelectorAll('.lines ol')) list.scrollTop = down.get(list.ariaLabel) ?? 0;
        }
      }
      document.querySelector('.lost').hidden = true;
    } catch {
      document.querySelector('.lost').hidden = false;
    } finally {
      drawing = false;
    }
    plan();
  };

  document.addEventListener('visibilitychange', () => { if (Number(main().dataset.refresh) > 0) draw(); });
  document.addEventListener('change', (event) => {
    if (event.target.form && !event.target.multiple) event.target.form.requestSubmit();
  });
  let resized = 0;
  window.addEventListener('resize', () => {
    clearTimeout(resized);
    resized = setTimeout(draw, 250);
  });

  const drawn = Number(main().dataset.width);
  const margins = width() <= 700 ? 16 : 32;
  tell();
  if (Math.abs(width() - margins - drawn) > 4) draw(); else plan();
})();
