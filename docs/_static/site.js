"use strict";
// Parts that scroll sideways become stops of the keyboard, with a name; not all browsers do that themselves.
(() => {
  const parts = { pre: "Code", ".table-wrapper": "Table", "p:has(> img)": "Figure" };
  function name() {
    for (const [selector, word] of Object.entries(parts)) {
      for (const part of document.querySelectorAll(`article ${selector}`)) {
        if (part.scrollWidth <= part.clientWidth || part.tabIndex === 0) continue;
        part.tabIndex = 0;
        part.setAttribute("role", "region");
        part.setAttribute("aria-label", `${word}, scrolls sideways`);
      }
    }
  }
  addEventListener("load", name);
  addEventListener("resize", name);
})();
