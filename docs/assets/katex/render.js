// Typeset the formulas that arithmatex marked, on the first page and after each instant navigation.
const formulas = () =>
  document.querySelectorAll(".arithmatex").forEach((node) =>
    renderMathInElement(node, {
      delimiters: [
        { left: "\\(", right: "\\)", display: false },
        { left: "\\[", right: "\\]", display: true },
      ],
      throwOnError: false,
    })
  );

typeof document$ === "undefined" ? document.addEventListener("DOMContentLoaded", formulas) : document$.subscribe(formulas);
