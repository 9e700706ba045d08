// Lets a person choose a file instead of pasting its text. Without it the text can be pasted.
"use strict";

for (const field of document.querySelectorAll("input[type=file][data-into]")) {
  const into = document.getElementById(field.dataset.into);
  field.closest("[data-file]").hidden = false;
  field.addEventListener("change", async () => {
    if (field.files.length) into.value = await field.files[0].text();
  });
}
