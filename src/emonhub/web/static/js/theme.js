// Sets the theme before anything is drawn: the one chosen here, else the system's.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("emonhub.theme") || "auto";
    } catch {
      return "auto"; // storage is closed to this page
    }
  };
  const apply = () => {
    const theme = chosen() === "auto" ? (system.matches ? "dark" : "light") : chosen();
    document.documentElement.dataset.theme = theme;
    dispatchEvent(new Event("themechange"));
  };
  system.addEventListener("change", apply);
  globalThis.emonhubTheme = {
    chosen,
    choose(theme) {
      try {
        localStorage.setItem("emonhub.theme", theme);
      } catch {
        return;
      }
      apply();
    },
  };
  apply();
})();
