// Buttons that copy the text of an element: it is selected too, so that a person sees what was taken, and can take it where a page may not.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.onclick = async () => {
    const from = document.getElementById(button.dataset.copy), said = button.parentElement.querySelector("[role=status]");
    getSelection().selectAllChildren(from);
    try {
      await navigator.clipboard.writeText(from.textContent);
      said.textContent = "Copied.";
    } catch {
      said.textContent = "Selected; copy it with Ctrl+C.";
    }
  };
}
