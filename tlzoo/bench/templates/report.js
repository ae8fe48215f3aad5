// A click on a column's name sorts each section of its table by itself: sections do not compare.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const table = head.closest("table");
    const place = head.cellIndex;
    const down = head.getAttribute("aria-sort") !== "descending" && place > 0 || head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => {
      const cell = row.cells[place];
      if (!cell) return null;
      return place === 0 ? cell.textContent : "value" in cell.dataset ? Number(cell.dataset.value) : null;
    };
    for (const body of table.tBodies) {
      const rows = [...body.rows].slice(1);
      rows.sort((a, b) => {
        const x = key(a), y = key(b);
        if (x === null || y === null) return (x === null) - (y === null);
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
      });
      body.append(...rows);
    }
  });
}
