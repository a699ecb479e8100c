// Small things that make the pages quick. Every page works without them, one reload at a time.
"use strict";

const main = document.getElementById("main");
let busy = false;

// A form that leads to the next row: sent in the background, and only the main part is replaced.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.dataset.slow) {
    const button = form.querySelector("button");
    setTimeout(() => { button.disabled = true; button.textContent = form.dataset.slow; });
    return;
  }
  if (!("next" in form.dataset)) return;
  event.preventDefault();
  if (busy) return;
  busy = true;
  const fields = new URLSearchParams(new FormData(form));
  if (event.submitter && event.submitter.name) fields.set(event.submitter.name, event.submitter.value);
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields, headers: { "x-piece": "1" } });
    replace(await answer.text());
  } catch {
    say(main.querySelector(".desk") || main, "✗ " + (document.documentElement.lang === "de"
      ? "Der Server antwortet nicht. Nichts ist verloren: was bestätigt war, ist gespeichert."
      : "The server does not answer. Nothing is lost: what was confirmed is on the disk."));
  } finally {
    busy = false;
  }
});

function replace(html) {
  main.innerHTML = html;
  const first = main.querySelector("[autofocus]");
  if (first) first.focus(); else main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  start(main);
}

function say(where, text) {
  let line = where.querySelector(":scope > .problem-line.server");
  if (!line) {
    line = document.createElement("p");
    line.className = "problem-line server";
    line.setAttribute("role", "alert");
    where.prepend(line);
  }
  line.textContent = text;
}

// One key for each button; not while somebody types, but for Ctrl Enter.
document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && typing) { event.target.blur(); return; }
  const key = event.ctrlKey && event.key === "Enter" ? "ctrl+enter" : event.ctrlKey ? "" : event.key.toLowerCase();
  if (!key || (typing && key !== "ctrl+enter")) return;
  const aim = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!aim) return;
  event.preventDefault();
  if (aim.matches("input[type=search]")) aim.focus(); else aim.click();
});

// Text that is checked while it is written.
let waiting = 0;
document.addEventListener("input", (event) => {
  const area = event.target;
  if (!area.matches("textarea")) return;
  const where = area.dataset.check || (area.form && area.form.dataset.check);
  if (!where) return;
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const fields = new URLSearchParams({ form: area.form.elements.form.value, [area.name]: area.value });
    const answer = await fetch(where, { method: "POST", body: fields });
    if (answer.ok) document.getElementById("problem").textContent = (await answer.json()).problem;
  }, 300);
});

// Parts that take a moment, and the run as it goes.
function start(where) {
  for (const part of where.querySelectorAll("[data-load]")) {
    fetch(part.dataset.load, { headers: { "x-piece": "1" } }).then(async (answer) => {
      if (answer.ok) part.innerHTML = await answer.text();
    }).catch(() => {});
  }
  for (const part of where.querySelectorAll("[data-events]")) follow(part);
}

function follow(part) {
  const source = new EventSource(part.dataset.events);
  source.addEventListener("board", (event) => draw(part, JSON.parse(event.data)));
  source.addEventListener("done", () => { source.close(); location.reload(); });
}

function draw(part, board) {
  const percent = (x) => (100 * x).toFixed(1);
  const points = (x) => (x < 0 ? "−" : "+") + Math.abs(100 * x).toFixed(1);
  const body = part.querySelector("tbody");
  body.replaceChildren(...board.levers.map((row) => {
    const line = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = row.name;
    line.append(name,
      cell(row.state.replaceAll("_", " "), row.text),
      cell(row.score ? percent(row.score.value) + " %" : "–", row.score ? `${percent(row.score.low)} – ${percent(row.score.high)}` : "", "num"),
      cell(row.difference ? points(row.difference.value) : "–", row.difference ? `${points(row.difference.low)} to ${points(row.difference.high)}` : "", "num"),
      cell(row.n === null ? "–" : String(row.n), "", "num"));
    return line;
  }));
  document.getElementById("doing").textContent = board.doing;
}

function cell(text, more, kind = "") {
  const found = document.createElement("td");
  found.className = kind;
  found.textContent = text;
  if (more) {
    const extra = document.createElement(kind ? "small" : "span");
    if (!kind) extra.className = "quiet";
    extra.textContent = " " + more;
    found.append(extra);
  }
  return found;
}

start(document);
