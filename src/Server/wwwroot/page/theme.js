// Runs before the first paint, so that the page does not flash in the other theme.
(() => {
  const stored = (() => {
    try {
      return localStorage.getItem("understory.theme");
    } catch {
      return null;
    }
  })();
  if (stored === "dark" || stored === "light") document.documentElement.dataset.theme = stored;
})();
