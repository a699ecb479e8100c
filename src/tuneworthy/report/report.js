(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const cases = [...document.querySelectorAll("[data-wrong]")];
  const shown = document.getElementById("shown");
  const apply = () => {
    let count = 0;
    for (const one of cases) {
      const differs = !form.differ.checked || one.dataset.differs === "yes";
      const wrong = form.wrong.value === "" || one.dataset.wrong.split(" ").includes(form.wrong.value);
      one.hidden = !(differs && wrong);
      if (!one.hidden) count += 1;
    }
    shown.textContent = `${count} of ${cases.length} shown`;
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
})();
