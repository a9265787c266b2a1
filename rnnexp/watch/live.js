"use strict";
// A page asks for itself again, as the table does, and takes the place of what it shows when that has changed: what is
// hidden, sorted or scrolled stays so.
const mark = document.getElementById("live");
let tag = document.querySelector('meta[name="tag"]').content;
let timer = 0;
async function refresh() {
  clearTimeout(timer);
  const began = performance.now();
  try {
    const response = await fetch(location.href, { headers: { "If-None-Match": `"${tag}"` } });
    if (response.status === 200) take(await response.text());
    alive(response.ok || response.status === 304 ? "live" : "this page is no longer there");
  } catch {
    alive("the server has ended, or can't be reached; trying again");
  }
  timer = setTimeout(() => document.hidden || refresh(), Math.max(2000, performance.now() - began));
}
function alive(text) {
  mark.textContent = text;
  mark.classList.toggle("off", text !== "live");
}
function take(html) {
  if (!tip.hidden) return; // somebody reads: next time
  const next = new DOMParser().parseFromString(html, "text/html");
  const hidden = [...document.querySelectorAll('.legend [aria-pressed="false"]')].map((button) => button.dataset.series);
  const heads = (page) => [...page.querySelectorAll("section")].flatMap((part) => [...part.querySelectorAll("th[aria-sort]")].map((head) => [`${part.querySelector("h2")?.textContent} ${head.textContent}`, head]));
  const sorted = heads(document).filter(([, head]) => head.ariaSort !== "none").map(([name, head]) => [name, head.ariaSort]);
  const boxes = (page) => [...page.querySelectorAll(".scroll")].map((box) => [box.ariaLabel, box]);
  const places = new Map(boxes(document).map(([name, box]) => [name, [box.scrollLeft, box.scrollTop]]));
  const focused = document.activeElement?.dataset?.series;
  tag = next.querySelector('meta[name="tag"]').content;
  document.title = next.title;
  document.querySelector("h1").replaceWith(next.querySelector("h1"));
  const subtitle = document.querySelector(".subtitle");
  if (subtitle) subtitle.textContent = next.querySelector(".subtitle")?.textContent ?? "";
  document.querySelector("footer").replaceWith(next.querySelector("footer"));
  const main = next.querySelector("main");
  document.querySelector("main").replaceWith(main);
  arrange(main);
  for (const button of main.querySelectorAll(".legend button")) {
    if (hidden.includes(button.dataset.series)) toggleSeries(button, false);
    if (focused && button.dataset.series === focused) button.focus();
  }
  const found = new Map(heads(main));
  for (const [name, way] of sorted) if (found.has(name)) sortBy(found.get(name), way === "descending");
  for (const [name, box] of boxes(main)) [box.scrollLeft, box.scrollTop] = places.get(name) ?? [0, 0];
}
document.addEventListener("visibilitychange", () => document.hidden || refresh());
alive("live");
timer = setTimeout(refresh, 2000);
