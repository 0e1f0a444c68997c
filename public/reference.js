// The page of the API is light or dark as the browser is. Loaded by that page only.
const dark = matchMedia("(prefers-color-scheme: dark)");
const reference = document.querySelector("rapi-doc");
const follow = () => reference.setAttribute("theme", dark.matches ? "dark" : "light");
dark.addEventListener("change", follow);
follow();
