// Sliders ask anew as they move; an answer that is no longer wanted is given up.
"use strict";
const asked = document.getElementById("asked");
const box = document.getElementById("answer");
let under = null;
let waiting = 0;

function short(value) {
  return String(Number(Number(value).toPrecision(3)));
}

// What runs now need not be a multiple of the step: the slider may stand there, and moves from it in steps.
function snap(input) {
  const step = Number(input.dataset.step), now = input.dataset.now;
  if (!(step > 0)) return;
  const raw = Number(input.value);
  const near = Number(input.min) + step * Math.round((raw - Number(input.min)) / step);
  input.value = now !== "" && Math.abs(raw - Number(now)) < step / 2 ? now : Math.min(near, Number(input.max));
}

function say() {
  for (const input of asked.querySelectorAll("input[type=range]")) {
    input.parentElement.querySelector(".value").textContent = short(input.value);
  }
}

function wanted() {
  const query = new URLSearchParams({ hours: asked.elements.hours.value });
  for (const input of asked.querySelectorAll("input[type=range]")) {
    const now = input.dataset.now;
    const moved = now === "" || Math.abs(input.value - now) > 1e-9;
    if (input.dataset.touched && moved) query.set(input.name, input.value);
  }
  return query;
}

async function load(target, address) {
  const response = await fetch(address, { signal: target === box ? under.signal : undefined });
  target.innerHTML = await response.text();
}

async function ask() {
  if (under) under.abort();
  under = new AbortController();
  box.setAttribute("aria-busy", "true");
  const mine = under;
  try {
    await load(box, "/answer?" + wanted());
  } catch (error) {
    if (error.name === "AbortError") return;
    box.insertAdjacentHTML("afterbegin", '<p class="error" role="alert">The server does not answer: what is shown is old.</p>');
  }
  if (mine === under) box.setAttribute("aria-busy", "false");
}

asked.addEventListener("input", (event) => {
  event.target.dataset.touched = "1";
  if (event.target.type === "range") snap(event.target);
  say();
  clearTimeout(waiting);
  waiting = setTimeout(ask, 60);
});
asked.addEventListener("keydown", (event) => {
  const input = event.target;
  const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (input.type !== "range" || !way || !(Number(input.dataset.step) > 0)) return;
  event.preventDefault();
  const moved = Number(input.value) + way * Number(input.dataset.step);
  input.value = Math.min(Math.max(moved, Number(input.min)), Number(input.max));
  input.dispatchEvent(new Event("input", { bubbles: true }));
});
asked.addEventListener("submit", (event) => event.preventDefault());
asked.addEventListener("reset", () => setTimeout(() => {
  for (const input of asked.querySelectorAll("input[type=range]")) {
    delete input.dataset.touched;
    if (input.dataset.now !== "") input.value = input.dataset.now;
  }
  say();
  ask();
}));
for (const part of document.querySelectorAll("details[data-load]")) {
  part.addEventListener("toggle", () => {
    if (!part.open || part.dataset.done) return;
    part.dataset.done = "1";
    load(part.querySelector(".loaded"), part.dataset.load);
  });
}
document.getElementById("options").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = new URLSearchParams(new FormData(event.target));
  query.set("hours", asked.elements.hours.value);
  const target = document.getElementById("compared");
  target.textContent = "Comparing …";
  load(target, "/options?" + query);
});
