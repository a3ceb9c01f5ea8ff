"use strict";
(() => {
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // Tables: a click on a heading sorts; rows without a value stay at the end.
  const sortBy = (table, heading) => {
    const column = [...heading.parentElement.children].indexOf(heading);
    const first = heading.dataset.first || "descending";
    const other = first === "descending" ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? other : first;
    for (const one of table.querySelectorAll("th[aria-sort]")) one.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const sign = order === "descending" ? -1 : 1;
    const key = (row) => row.children[column].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const [u, v] = [Number(x), Number(y)];
      return sign * (Number.isNaN(u) || Number.isNaN(v) ? x.localeCompare(y) : u - v);
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const button of table.querySelectorAll("th button")) {
      button.addEventListener("click", () => sortBy(table, button.closest("th")));
    }
  }

  // Viewers: frame, view, divider, zoom and pan. Everything also works by keyboard.
  const startViewer = (viewer) => {
    const find = (selector) => viewer.querySelector(selector);
    const stage = find(".stage");
    const divider = find(".divider");
    const left = find("select.left");
    const right = find("select.right");
    const zoom = find("input.zoom");
    const state = { zoom: 1, x: 0, y: 0 };

    const drawZoom = () => {
      const room = 1 - state.zoom;
      state.x = clamp(state.x, room, 0);
      state.y = clamp(state.y, room, 0);
      for (const [name, value] of Object.entries(state)) viewer.style.setProperty("--" + name, value);
      viewer.classList.toggle("zoomed", state.zoom > 1);
      find("output.zoom").textContent = state.zoom + "×";
    };
    const zoomAt = (value, x, y) => {
      const next = clamp(value, Number(zoom.min), Number(zoom.max));
      state.x = x - (x - state.x) * next / state.zoom;
      state.y = y - (y - state.y) * next / state.zoom;
      state.zoom = next;
      zoom.value = next;
      drawZoom();
    };
    const drawDivider = () => {
      viewer.style.setProperty("--cut", divider.value + "%");
      divider.setAttribute("aria-valuetext", divider.value + " % " + left.value + ", the rest " + right.value);
    };
    const drawSides = () => {
      for (const pane of viewer.querySelectorAll(".intensities .pane")) {
        pane.classList.toggle("at-left", pane.dataset.name === left.value);
        pane.classList.toggle("at-right", pane.dataset.name === right.value && right.value !== left.value);
      }
      viewer.classList.toggle("same", left.value === right.value);
      drawDivider();
    };
    const drawView = (view) => {
      viewer.dataset.view = view;
      const slider = view === "slider";
      divider.hidden = !slider;
      for (const one of viewer.querySelectorAll(".sides")) one.hidden = !slider;
    };
    const showFrame = (index) => {
      for (const frame of viewer.querySelectorAll(".frame")) frame.hidden = frame.dataset.frame !== index;
    };

    for (const input of viewer.querySelectorAll("input.choose-frame")) {
      input.addEventListener("change", () => showFrame(input.value));
    }
    for (const input of viewer.querySelectorAll("input.choose-view")) {
      input.addEventListener("change", () => drawView(input.value));
    }
    divider.addEventListener("input", drawDivider);
    left.addEventListener("change", drawSides);
    right.addEventListener("change", drawSides);
    zoom.addEventListener("input", () => zoomAt(Number(zoom.value), 0.5, 0.5));

    // Where a pointer is, as parts of the picture's width and height.
    const place = (event, picture) => {
      const box = picture.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    let drag = null;
    viewer.addEventListener("pointerdown", (event) => {
      const picture = event.target.closest(".window");
      if (!picture || event.button !== 0) return;
      const [x, y] = place(event, picture);
      const slides = viewer.dataset.view === "slider" && picture.closest(".intensities");
      const near = Math.abs(x - divider.value / 100) < 0.05;
      drag = { picture, x, y, divides: Boolean(slides) && (state.zoom === 1 || near) };
      event.preventDefault();
      move(event);
    });
    const move = (event) => {
      if (!drag) return;
      const [x, y] = place(event, drag.picture);
      if (drag.divides) {
        divider.value = Math.round(clamp(x, 0, 1) * 1000) / 10;
        drawDivider();
      } else {
        state.x += x - drag.x;
        state.y += y - drag.y;
        drag.x = x;
        drag.y = y;
        drawZoom();
      }
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", () => { drag = null; });
    window.addEventListener("pointercancel", () => { drag = null; });
    viewer.addEventListener("dblclick", (event) => {
      const picture = event.target.closest(".window");
      if (picture) zoomAt(state.zoom >= 8 ? 1 : state.zoom * 2, ...place(event, picture));
    });
    stage.addEventListener("keydown", (event) => {
      const step = 0.1;
      const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      if (event.target !== stage) return;
      if (event.key in moves && state.zoom > 1) {
        state.x += moves[event.key][0];
        state.y += moves[event.key][1];
        drawZoom();
      } else if (event.key === "+" || event.key === "-") {
        zoomAt(state.zoom * (event.key === "+" ? 2 : 0.5), 0.5, 0.5);
      } else {
        return;
      }
      event.preventDefault();
    });

    viewer.classList.add("ready");
    for (const tools of viewer.querySelectorAll(".tools")) tools.hidden = false;
    drawZoom();
    drawSides();
    const chosenView = () => find("input.choose-view:checked").value;
    drawView(chosenView());
    window.addEventListener("beforeprint", () => drawView("side"));
    window.addEventListener("afterprint", () => drawView(chosenView()));
    showFrame("0");
  };
  for (const viewer of document.querySelectorAll(".viewer.interactive")) startViewer(viewer);

  // Moving pictures stay closed for readers who ask for less motion; print shows what is folded.
  if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
    for (const preview of document.querySelectorAll("details.moving")) preview.open = false;
  }
  window.addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });
})();
