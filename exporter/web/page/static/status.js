// Keeps the status page current. The page is complete without it.
"use strict";

const REFRESH_MS = 30000;
const TICK_MS = 10000;
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

const list = document.getElementById("blocks");
const template = document.getElementById("block");
const live = document.getElementById("live");
let after = list ? Number(list.dataset.after) : 0;

function ago(seconds) {
  for (const [size, unit] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return "just now";
}

function tick() {
  for (const time of document.querySelectorAll("time")) {
    time.textContent = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
  }
}

// Text only: nothing that comes from a cluster is ever parsed as markup.
function fill(item, block) {
  const put = (selector, text) => { item.querySelector(selector).textContent = text; };
  const known = ["critical", "high", "medium", "low", "info"].includes(block.severity);
  const severity = known ? block.severity : "none";
  const chip = item.querySelector(".chip");
  chip.textContent = severity;
  chip.className = `chip ${severity}`;
  put(".namespace", block.namespace ? `${block.namespace}/` : "");
  put(".subject", block.name ? `${block.kind}/${block.name}` : block.kind);
  put(".policy", block.policy);
  put(".rule", block.rule ? ` · ${block.rule}` : "");
  item.dataset.time = block.time;
  put(".message", block.message.length > 500 ? `${block.message.slice(0, 499)}…` : block.message);
  const time = item.querySelector("time");
  time.dateTime = time.title = new Date(block.time * 1000).toISOString().replace(/\.\d+/, "");
}

// An exporter that was restarted tells again what it finds: what is shown, or older than that.
function place(item) {
  const rows = [...list.children];
  const text = row => [Number(row.dataset.time), row.querySelector(".subject").textContent,
    row.querySelector(".policy").textContent].join(" ");
  if (rows.some(row => text(row) === text(item))) return false;
  const older = rows.find(row => Number(row.dataset.time) <= Number(item.dataset.time));
  if (!older && rows.length >= Number(list.dataset.most)) return false;
  list.insertBefore(item, older ?? null);
  return true;
}

function show(event) {
  const block = JSON.parse(event.data);
  if (block.id <= after) return;
  after = block.id;
  const item = template.content.firstElementChild.cloneNode(true);
  fill(item, block);
  item.classList.add("new");
  if (!place(item)) return;
  while (list.children.length > Number(list.dataset.most)) list.lastElementChild.remove();
  document.getElementById("no-blocks").hidden = true;
  const count = document.getElementById("blocked-count");
  if (Number(count.textContent) < 99) count.textContent = Number(count.textContent) + 1;
  tick();
}

function say(on) {
  live.classList.toggle("on", on);
  live.textContent = on ? "live" : "reconnecting";
}

// A browser gives up for good when it is refused (503, or a proxy's answer): then try anew.
function listen() {
  const source = new EventSource(`/api/v1/blocks?after=${after}`);
  source.addEventListener("open", () => say(true));
  source.addEventListener("blocked", show);
  source.addEventListener("error", () => {
    say(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.pathname + location.search).catch(() => null);
  if (!answer || !answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const now = fresh.getElementById(part.id);
    if (now && !part.contains(document.activeElement)) part.replaceWith(now);
  }
  tick();
}

if (list) {
  listen();
  setInterval(tick, TICK_MS);
  setInterval(refresh, REFRESH_MS);
}
