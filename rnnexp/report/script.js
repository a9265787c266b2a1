"use strict";
const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  if (isServed) sessionStorage.theme = root.dataset.theme; // for the pages that follow; a file is read alone
});
const isServed = location.protocol.startsWith("http");
if (isServed && sessionStorage.theme) root.dataset.theme = sessionStorage.theme;
function toggleSeries(button, show) {
  button.setAttribute("aria-pressed", String(show));
  const id = button.dataset.series;
  for (const part of button.closest("figure").querySelectorAll(`[id="${id}"], [id^="${id}."]`)) {
    part.style.display = show ? "" : "none";
  }
}
function sortBy(head, down) {
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
}
// The mark nearest to the pointer says what it is. One that has a page becomes a link there: a real one, that opens
// in a new tab as links do. One link for all marks, moved about: a figure may have thousands of them.
const REACH = 24; // pixels
const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);
function leave() {
  tip.hidden = true;
  for (const mark of document.querySelectorAll("svg a.mark")) {
    mark.ownerSVGElement.told = null;
    mark.remove();
  }
}
function nearest(svg, x, y) {
  svg.marks ??= JSON.parse(svg.dataset.marks);
  const box = svg.getScreenCTM();
  const [px, py] = [(x - box.e) / box.a, (y - box.f) / box.d];
  const key = svg.closest("figure").id;
  const hidden = new Set([...svg.closest("figure").querySelectorAll('.legend [aria-pressed="false"]')].map((it) => it.dataset.series));
  let [found, least] = [null, (REACH / box.a) ** 2];
  for (const mark of svg.marks) {
    const far = (mark[0] - px) ** 2 + (mark[1] - py) ** 2;
    if (far < least && !hidden.has(`${key}-${mark[2]}`)) [found, least] = [mark, far];
  }
  return found;
}
function point(svg, event) {
  const found = nearest(svg, event.clientX, event.clientY);
  if (!found) return leave();
  // A finger's first touch says what it is, and the next one opens it.
  if (event.type === "pointerdown") svg.isToldFirst = event.pointerType === "touch" && svg.told !== found;
  svg.told = found;
  const [x, y, , text, url] = found;
  let link = svg.querySelector("a.mark");
  if (!link) {
    leave();
    link = document.createElementNS(svg.namespaceURI, "a");
    link.setAttribute("class", "mark");
    for (const name of ["reach", "ring"]) {
      const circle = document.createElementNS(svg.namespaceURI, "circle");
      circle.setAttribute("class", name);
      link.append(circle);
    }
    svg.append(link);
  }
  if (url) link.setAttribute("href", url);
  else link.removeAttribute("href");
  const box = svg.getScreenCTM();
  for (const circle of link.children) {
    circle.setAttribute("cx", x);
    circle.setAttribute("cy", y);
    circle.setAttribute("r", (circle.classList.contains("reach") ? REACH : 6) / box.a);
  }
  tip.textContent = text;
  tip.classList.toggle("leads", Boolean(url));
  tip.hidden = false;
  const [left, top] = [box.e + x * box.a, box.f + y * box.d];
  const wide = root.clientWidth;
  tip.style.left = `${Math.max(4, Math.min(left - tip.offsetWidth / 2, wide - tip.offsetWidth - 4))}px`;
  tip.style.top = `${top - tip.offsetHeight - 14 > 0 ? top - tip.offsetHeight - 14 : top + 14}px`;
}
document.addEventListener("pointerdown", (event) => event.target.closest("svg[data-marks]") ?? leave());
document.addEventListener("scroll", leave, { capture: true, passive: true });
function arrange(part) {
  for (const button of part.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => toggleSeries(button, button.getAttribute("aria-pressed") === "false"));
  }
  for (const head of part.querySelectorAll("th[aria-sort]")) {
    head.querySelector("button").addEventListener("click", () => sortBy(head, head.getAttribute("aria-sort") === "ascending"));
  }
  for (const svg of part.querySelectorAll("svg[data-marks]")) {
    svg.addEventListener("pointermove", (event) => point(svg, event));
    svg.addEventListener("pointerdown", (event) => point(svg, event));
    svg.addEventListener("click", (event) => svg.isToldFirst && event.preventDefault());
    // A finger that is lifted leaves, too: what it has found stays until the next touch.
    svg.addEventListener("pointerleave", (event) => event.pointerType === "touch" || leave());
  }
  // "scroll ↓ →" stands above what is longer or wider than its box, until its end has been reached.
  for (const box of part.querySelectorAll(".scroll")) {
    const more = box.previousElementSibling;
    const show = () => {
      const isBelow = box.scrollHeight - box.clientHeight - box.scrollTop > 2;
      const isRight = box.scrollWidth - box.clientWidth - box.scrollLeft > 2;
      more.textContent = `scroll${isBelow ? " ↓" : ""}${isRight ? " →" : ""}`;
      more.classList.toggle("on", isBelow || isRight);
    };
    new ResizeObserver(show).observe(box);
    box.addEventListener("scroll", show, { passive: true });
  }
}
arrange(document);
