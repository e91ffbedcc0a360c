// Two additions to pages that work without them: the figures of the first page are refreshed, and texts can be copied.
"use strict";

const SECONDS = 10;

function fill(table, rows) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  body.replaceChildren(...rows.map((row) => {
    const line = document.createElement("tr");
    line.setAttribute("role", "row");
    row.forEach((value, index) => {
      const cell = line.insertCell();
      cell.setAttribute("role", "cell");
      cell.dataset.label = heads[index].textContent;
      cell.className = heads[index].className;
      if (typeof value === "string") {
        cell.textContent = value;
      } else {
        const inner = document.createElement(value.href ? "a" : "code");
        if (value.href) inner.href = value.href;
        if (value.code) inner.className = value.href ? "code" : value.text.length <= 24 ? "short" : "";
        inner.textContent = value.text;
        cell.append(inner);
      }
    });
    return line;
  }));
  table.hidden = rows.length === 0;
  document.getElementById(`empty-${table.id.slice("table-".length)}`).hidden = rows.length > 0;
}

function change(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function show(state) {
  for (const [key, figure] of Object.entries(state.shown.figures)) {
    change(document.querySelector(`[data-figure="${key}"]`), figure.value);
    change(document.querySelector(`[data-note="${key}"]`), figure.note);
  }
  for (const table of Object.values(state.shown.tables)) {
    fill(document.getElementById(`table-${table.name}`), table.rows);
  }
  const verdict = document.getElementById("verdict");
  verdict.className = `verdict ${state.verdict.toLowerCase().replace(" ", "_")}`;
  change(verdict.querySelector("strong"), state.verdict);
  change(verdict.querySelector("span"), state.reasons.join(" "));
  change(document.getElementById("as-of"), new Date(state.time * 1000).toISOString().slice(0, 19).replace("T", " "));
}

function keepLive(place) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  let running = true;
  const label = () => { button.textContent = running ? "Live: pause" : "Paused: resume"; };
  const refresh = async () => {
    if (!running || document.hidden) return;
    try {
      const answer = await fetch(place.dataset.live, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.statusText);
      show(await answer.json());
      label();
    } catch {
      button.textContent = "No answer: pause";
    }
  };
  button.addEventListener("click", () => { running = !running; label(); refresh(); });
  label();
  place.append(button);
  setInterval(refresh, SECONDS * 1000);
}

function offerCopies() {
  if (!navigator.clipboard) return;  // browsers have it for https and localhost alone
  for (const block of document.querySelectorAll(".snippet")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.querySelector("pre").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.querySelector("h2").after(button);
  }
}

const live = document.getElementById("live");
if (live) keepLive(live);
offerCopies();
