// A slider shows the images of one step, enlarged. Without scripts, the slider is hidden and the
// rows of all steps remain.
for (const row of document.querySelectorAll(".slider")) {
  const input = row.querySelector("input"), large = row.querySelectorAll(".large figure");
  const cells = [...row.nextElementSibling.querySelectorAll("figure")], steps = Number(input.max) + 1;
  const show = () => {
    cells.forEach((cell, i) => cell.classList.toggle("now", i % steps == input.value));
    large.forEach((figure, i) => {
      const from = cells[i * steps + Number(input.value)];
      figure.querySelector("img").src = from.querySelector("img").src;
      figure.querySelector("img").alt = figure.querySelector("figcaption").textContent = from.title;
      figure.querySelector("i").style.width = from.querySelector("i").style.width;
    });
  };
  input.addEventListener("input", show);
  row.hidden = false;
  show();
}
