"use strict";
// The table of a folder, asked for again and again. It asks because nothing could tell: files change on hosts that
// share no more than a file system. A question names the state that is shown (If-None-Match), and the answer to most of
// them is that it is the same, in a millisecond and without a body; a tab that nobody sees asks nothing; and after the
// machine has slept, or ssh has been started again, the next question goes on where the last one stopped.
const EVERY = 2000; // milliseconds
const ARRIVING = 6000; // that a new row is to be noticed
const get = (id) => document.getElementById(id);
const inputs = ["text", "where", "group", "values"].map(get);
const state = { sort: "", columns: "", limit: 200 };
const chosen = new Map(); // of runs, from URL to path
const arrivals = new Map(); // of rows, from URL to when they came
let drawn = new Map(); // of rows, from URL to their elements and what those show
let answered = null; // the question that they answer
let tag = "";
let grouped = false;
let asking = 0;
let timer = 0;
let most = 24; // runs in one figure

function restore() {
  const typed = new URLSearchParams(location.search);
  for (const input of inputs) input.value = typed.get(input.id) ?? "";
  for (const name of ["sort", "columns"]) state[name] = typed.get(name) ?? "";
  const show = document.querySelector(`#show input[value="${CSS.escape(typed.get("show") ?? "all")}"]`);
  if (show) show.checked = true;
  grouped = Boolean(typed.get("group"));
}
function asked() {
  const found = new URLSearchParams();
  for (const input of inputs) if (input.value.trim()) found.set(input.id, input.value.trim());
  const show = document.querySelector("#show input:checked").value;
  if (show !== "all") found.set("show", show);
  for (const name of ["sort", "columns"]) if (state[name]) found.set(name, state[name]);
  return found;
}
function ask() {
  const found = asked();
  if (found.has("group") !== grouped) {
    state.sort = ""; // by a column that is gone
    found.delete("sort");
    grouped = found.has("group");
  }
  history.replaceState(null, "", found.size ? `/?${found}` : "/");
  state.limit = 200;
  tag = "";
  refresh();
}
async function refresh() {
  clearTimeout(timer);
  const mine = ++asking;
  const began = performance.now();
  const query = asked();
  query.set("limit", state.limit);
  query.set("width", 10 * Math.round(Math.max(200, get("table").parentElement.clientWidth - 150) / 90));
  try {
    const response = await fetch(`/api/table?${query}`, { headers: tag ? { "If-None-Match": tag } : {} });
    if (mine !== asking) return; // another question has been asked since
    if (response.status === 200) {
      const answer = await response.json();
      if (mine !== asking) return;
      tag = response.headers.get("ETag") ?? "";
      problem(answer.problem ?? "");
      if (!answer.problem) show(answer);
    } else if (response.status !== 304) {
      problem(await response.text());
    }
    alive(true);
  } catch {
    if (mine !== asking) return;
    alive(false);
  }
  ages();
  timer = setTimeout(() => document.hidden || refresh(), Math.max(EVERY, performance.now() - began));
}
function alive(is) {
  get("live").textContent = is ? "live" : "the server has ended, or can't be reached; trying again";
  get("live").classList.toggle("off", !is);
}
function problem(text) {
  get("problem").hidden = !text;
  get("problem").textContent = text;
}
function make(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function isolated(text) {
  return make("bdi", "", text); // a name that is written from right to left turns nothing else around
}
function age(seconds) {
  const past = Math.max(0, Date.now() / 1000 - seconds);
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) if (past >= size) return `${Math.floor(past / size)} ${unit} ago`;
  return past < 5 ? "now" : `${Math.floor(past)} s ago`;
}
function ages() {
  for (const cell of document.querySelectorAll("td[data-changed]")) cell.textContent = age(Number(cell.dataset.changed));
}
function show(answer) {
  document.title = `${answer.root} · rnnexp watch`;
  get("root").replaceChildren(isolated(answer.root.replace(/\/+$/, "").split(/[\\/]/).pop() || answer.root));
  get("path").textContent = answer.root;
  most = answer.most;
  get("counts").textContent = answer.total ? answer.counts || "nothing of what there is" : "no runs yet: what begins here appears by itself";
  get("warning").textContent = [answer.warning, answer.left_out ? `${answer.left_out} runs that are not complete are left out` : ""].filter(Boolean).join("; ");
  get("warning").hidden = !get("warning").textContent;
  heads(answer);
  const question = `${asked()} ${state.limit}`;
  place(answer, question === answered); // what another question finds is not new
  answered = question;
  const more = !answer.warning && answer.found > answer.rows.length && !get("group").value.trim();
  get("rest").hidden = !more;
  get("rest").querySelector("span").textContent = `${answer.rows.length.toLocaleString("en")} of ${answer.found.toLocaleString("en")} are shown`;
  names(answer);
  choices();
}
// A row that has not changed stays the same element in its place: a click that has begun on it, a tick, whoever is
// there with the keyboard, and what is marked for copying are not to be lost each time that another run has an epoch.
function place(answer, isSame) {
  const body = get("table").tBodies[0];
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const before = drawn;
  drawn = new Map();
  let at = body.firstChild;
  for (const row of answer.rows) {
    const name = row.url ?? row.where + row.cells;
    const key = JSON.stringify([answer.columns, row]);
    const known = before.get(name);
    let made = known?.element;
    if (!known && isSame) arrivals.set(name, performance.now());
    if (known?.key !== key) {
      made = line(answer, row);
      if (known && known.element === at) {
        at.replaceWith(made);
        at = made;
      }
    }
    const age = performance.now() - (arrivals.get(name) ?? -Infinity);
    if (age >= ARRIVING) arrivals.delete(name);
    made.classList.toggle("new", age < ARRIVING);
    if (known?.key !== key) made.style.setProperty("--age", `${-age}ms`); // it fades on from where it was
    if (made === at) at = at.nextSibling;
    else body.insertBefore(made, at);
    drawn.set(name, { key, element: made });
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
  if (!answer.rows.length) {
    const cell = make("td", "empty", answer.total ? "nothing that was asked for" : "…");
    cell.colSpan = answer.columns.length + 1;
    body.append(make("tr"));
    body.lastChild.append(cell);
  }
  if (focused && !body.contains(document.activeElement)) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}
function sortedBy() {
  return state.sort || "-changed";
}
function heads(answer) {
  const by = sortedBy();
  const key = JSON.stringify([answer.columns, answer.numeric, by]);
  if (get("table").dataset.key === key) return; // whoever is at a name with the keyboard stays there
  get("table").dataset.key = key;
  const row = make("tr");
  const all = make("input");
  all.type = "checkbox";
  all.setAttribute("aria-label", "choose all runs that are shown");
  all.addEventListener("change", () => {
    for (const box of get("table").tBodies[0].querySelectorAll("input")) if (box.checked !== all.checked) box.click();
  });
  row.append(make("th"));
  if (!get("group").value.trim()) row.firstChild.append(all);
  for (const [i, name] of answer.columns.entries()) {
    const head = make("th", answer.numeric[i] ? "number" : "");
    head.scope = "col";
    head.setAttribute("aria-sort", by === name ? "ascending" : by === `-${name}` ? "descending" : "none");
    const button = make("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => {
      const now = sortedBy(); // which is not what is shown yet if the last click has no answer
      state.sort = now === name ? `-${name}` : now === `-${name}` ? name : answer.numeric[i] ? `-${name}` : name;
      ask();
    });
    head.append(button);
    row.append(head);
  }
  get("table").tHead.replaceChildren(row);
}
function line(answer, row) {
  const is_group = row.kind && row.kind !== "run";
  const made = make("tr", is_group ? "group" : "");
  const first = make("td");
  made.append(first);
  if (row.kind === "run") {
    const box = make("input");
    box.type = "checkbox";
    box.checked = chosen.has(row.url);
    box.dataset.key = `choose ${row.url}`;
    box.setAttribute("aria-label", `choose ${row.path}`);
    box.addEventListener("change", () => {
      if (box.checked) chosen.set(row.url, row.path);
      else chosen.delete(row.url);
      choices();
    });
    first.append(box);
  }
  for (const [i, name] of answer.columns.entries()) {
    const cell = make("td", answer.numeric[i] ? "number" : "");
    const text = String(row.cells[i]);
    if (name === "path" || (row.where && i === 0)) {
      const link = make("a");
      link.append(isolated(text));
      link.dataset.key = row.url ?? row.where;
      link.href = row.url ?? `/?${new URLSearchParams({ where: [get("where").value.trim() && `(${get("where").value.trim()})`, row.where].filter(Boolean).join(" and ") })}`;
      cell.append(link);
      if (is_group) cell.append(` ${row.kind}`);
    } else if (name === "changed") {
      cell.dataset.changed = text;
      cell.className = "number";
    } else if (name === "status" && row.status) {
      cell.append(make("span", `status ${row.status}`, row.progress ? `${text}, ${row.progress}` : text));
    } else {
      cell.append(isolated(text));
    }
    cell.title = name === "changed" ? new Date(1000 * Number(text)).toLocaleString() : text;
    made.append(cell);
  }
  return made;
}
function names(answer) {
  const key = answer.every.join("\n");
  if (get("names").dataset.key !== key) {
    get("names").dataset.key = key;
    get("names").replaceChildren(...answer.every.map((name) => new Option(name)));
  }
  const picks = get("picks");
  if (picks.contains(document.activeElement) && picks.dataset.key === key) return;
  picks.dataset.key = key;
  picks.replaceChildren(...answer.every.map((name) => {
    const label = make("label");
    const box = make("input");
    box.type = "checkbox";
    box.checked = answer.columns.includes(name);
    box.value = name;
    box.addEventListener("change", () => {
      const kept = answer.columns.filter((column) => column !== name);
      if (box.checked) kept.push(name);
      answer.columns = kept;
      state.columns = kept.join(",");
      ask();
    });
    label.append(box, isolated(name));
    return label;
  }));
}
function choices() {
  get("chosen").hidden = !chosen.size;
  const few = chosen.size <= most;
  get("chosen").querySelector("span").textContent = `${chosen.size} run${chosen.size === 1 ? "" : "s"} chosen${few ? "" : `, of which ${most} fit in one figure`}`;
  get("compare").hidden = !few;
  get("compare").href = `/chosen?${[...chosen.keys()].map((url) => `run=${url.slice("/at/".length)}`).join("&")}`;
}
let typing = 0;
for (const input of inputs) {
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(ask, 250);
  });
}
get("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
get("show").addEventListener("change", ask);
get("usual").addEventListener("click", () => {
  state.columns = "";
  ask();
});
get("further").addEventListener("click", () => {
  state.limit += 200;
  tag = "";
  refresh();
});
get("none").addEventListener("click", () => {
  chosen.clear();
  for (const box of get("table").querySelectorAll("input")) box.checked = false;
  choices();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
document.addEventListener("click", (event) => event.target.closest("#columns") || get("columns").removeAttribute("open"));
addEventListener("pageshow", (event) => event.persisted && refresh());
restore();
refresh();
