"use strict";
const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const show = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(show));
    const id = button.dataset.series;
    for (const part of button.closest("figure").querySelectorAll(`[id="${id}"], [id^="${id}."]`)) {
      part.style.display = show ? "" : "none";
    }
  });
}
for (const head of document.querySelectorAll("th")) {
  head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const body = head.closest("table").tBodies[0];
    const place = head.cellIndex;
    const key = (row) => {
      const cell = row.cells[place];
      return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
    };
    const missing = (value) => value === "-" || value === "" || Number.isNaN(value);
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (missing(x) || missing(y)) return missing(x) - missing(y);
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
      return down ? -order : order;
    });
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  });
}
// "scroll →" stands above what is wider than the window, until its end has been reached.
for (const box of document.querySelectorAll(".scroll")) {
  const more = box.previousElementSibling;
  const show = () => more.classList.toggle("on", box.scrollWidth - box.clientWidth - box.scrollLeft > 2);
  new ResizeObserver(show).observe(box);
  box.addEventListener("scroll", show, { passive: true });
}
