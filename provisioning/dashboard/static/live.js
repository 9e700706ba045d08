// Brings a page up to date while it is open: asks for the same page again and puts in what has changed. Without it the
// page is the same, as of when it was loaded.
"use strict";

const lost = document.getElementById("lost");

function waiting() {
  return Number(document.body.dataset.refresh || 0) * 1000;
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
  if (!answer.ok) throw new Error(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const newer = page.getElementById(part.id);
    // What somebody is about to press or read aloud stays under the fingers until they move on.
    if (!newer || part.contains(document.activeElement) || newer.outerHTML === part.outerHTML) continue;
    update(part, newer);
  }
  document.body.dataset.refresh = page.body.dataset.refresh || "";
}

// The heading stays the same node, so that a screen reader tells that its text has changed.
function update(part, newer) {
  const told = part.querySelector("[aria-live]");
  const text = newer.querySelector("[aria-live]");
  if (told && text) {
    if (told.textContent !== text.textContent) told.textContent = text.textContent;
    text.replaceWith(told);
  }
  part.replaceChildren(...newer.childNodes);
  part.className = newer.className;
}

async function keep() {
  for (;;) {
    const pause = waiting();
    if (!pause) return;
    await new Promise((resolve) => setTimeout(resolve, pause));
    try {
      await refresh();
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    }
  }
}

keep();
