// Before the page is painted: the theme somebody chose, else the system's.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("codemie-theme");
    } catch {
      return null; // a browser that keeps nothing
    }
  };
  const apply = () => {
    const dark = (chosen() ?? (system.matches ? "dark" : "light")) === "dark";
    root.dataset.theme = dark ? "dark" : "light";
    globalThis.Quasar?.Dark?.set(dark);
  };
  const toggle = () => {
    const other = root.dataset.theme === "dark" ? "light" : "dark";
    const plain = (other === "dark") === system.matches;
    try {
      plain ? localStorage.removeItem("codemie-theme") : localStorage.setItem("codemie-theme", other);
    } catch {
      // Then it lasts until the page is left.
    }
    root.dataset.theme = other;
    globalThis.Quasar?.Dark?.set(other === "dark");
  };
  apply();
  system.addEventListener("change", apply);
  addEventListener("load", apply);
  addEventListener("click", (event) => event.target.closest?.("[data-cm-theme]") && toggle());
})();
