"use strict";
// Draws the tabs that tabs.json describes. Each panel sends its values to the server and shows the answer.

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    name in element ? (element[name] = value) : element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Requests of this page run one after another, because the server limits those of one client.
let last = Promise.resolve();

function ask(url, values) {
  const mine = last.then(() => askNow(url, values));
  last = mine.catch(() => {});
  return mine;
}

async function askNow(url, values) {
  const sent = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) };
  let response;
  try {
    response = await fetch(url, sent);
  } catch {
    throw new Error("the server does not answer");
  }
  const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// Of the values that arrive while a request runs, only the last are sent.
function sender(url, show, result, status) {
  let next = null, busy = false;
  return async values => {
    next = values;
    if (busy) return;
    busy = true;
    while (next) {
      const now = next;
      next = null;
      result.classList.add("old");
      status.className = "note";
      status.textContent = "computing …";
      try {
        const answer = await ask(url, now);
        status.textContent = (answer.notes || []).join(" ");
        show(answer, now);
      } catch (error) {
        status.className = "note error";
        status.textContent = error.message;
      }
      result.classList.remove("old");
    }
    busy = false;
  };
}

function control(about) {
  const { name, kind, least, most } = about;
  let input;
  if (about.choices) {
    input = make("select", { name });
    for (const choice of about.choices) input.append(make("option", { value: choice }, choice));
  } else if (kind === "str") {
    input = make("input", { name, type: "text", maxLength: 300 });
  } else if (kind === "float") {
    input = make("input", { name, type: "range", min: least, max: most, step: 0.05 });
  } else {
    input = make("input", { name, type: "number", min: least, max: most, step: 1, inputMode: "numeric" });
  }
  input.value = about.default;
  const text = make("span", {}, about.label);
  if (input.type === "range") {
    const show = () => { text.textContent = `${about.label}: ${input.value}`; };
    input.addEventListener("input", show);
    show();
  }
  const label = make("label", {}, text, input);
  if (name.endsWith("caption")) label.className = "wide";
  return { label, input, value: () => (kind === "str" ? input.value : input.value === "" ? null : Number(input.value)) };
}

function figure(picture, width) {
  const image = make("img", { src: picture.src, alt: picture.name });
  image.addEventListener("load", () => { image.width = width || Math.max(image.naturalWidth, 112); }, { once: true });
  const link = make("a", { href: picture.src, download: picture.file }, "PNG");
  return make("figure", {}, image, make("figcaption", {}, `${picture.name} `, link));
}

function command(line) {
  return line ? [make("p", { className: "note" }, "The same on the command line:"), make("pre", {}, line)] : [];
}

function showPictures(result, answer) {
  const figures = answer.pictures.map(picture => figure(picture));
  result.replaceChildren(make("div", { className: "pictures" }, ...figures), ...command(answer.command));
}

function showFrames(result, answer) {
  const pictures = answer.pictures, shown = figure(pictures[0], 256);
  const image = shown.querySelector("img"), link = shown.querySelector("a");
  const slider = make("input", { type: "range", min: 0, max: pictures.length - 1, value: 0, step: 1 });
  slider.setAttribute("aria-label", "Frame");
  const side = make("div");
  if (answer.chart) side.innerHTML = answer.chart; // SVG of the server's own making
  const points = side.querySelectorAll("circle");
  const show = () => {
    const { name, src, file } = pictures[slider.value];
    Object.assign(image, { src, alt: name });
    Object.assign(link, { href: src, download: file });
    link.previousSibling.textContent = `${name} `;
    points.forEach((point, i) => point.classList.toggle("now", i === Number(slider.value)));
  };
  let timer = null;
  const play = make("button", { type: "button" }, "Play");
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Pause";
    timer = setInterval(() => {
      if (!play.isConnected) return stop();
      slider.value = (Number(slider.value) + 1) % pictures.length;
      show();
    }, 150);
  });
  slider.addEventListener("input", show);
  show();
  const left = make("div", {}, shown, slider, make("div", { className: "buttons" }, play));
  result.replaceChildren(make("div", { className: "frame" }, left, ...(answer.chart ? [side] : [])), ...command(answer.command));
}

function form(url, about) {
  const result = make("div", { className: "result" }), status = make("p", { className: "note", role: "status" });
  const controls = about.controls.map(control);
  const show = about.kind === "frames" ? showFrames : showPictures;
  const send = sender(url, answer => show(result, answer), result, status);
  const run = () => send(Object.fromEntries(about.controls.map((each, i) => [each.name, controls[i].value()])));
  const element = make("form", { noValidate: true }, make("div", { className: "controls" }, ...controls.map(each => each.label)));
  const fresh = make("button", { type: "button" }, "New seed");
  fresh.addEventListener("click", () => {
    element.elements.seed.value = Math.floor(Math.random() * 1e6);
    run();
  });
  element.append(make("div", { className: "buttons" }, make("button", { className: "main" }, about.title), fresh));
  element.addEventListener("submit", event => { event.preventDefault(); run(); });
  return { parts: [element, status, result], run };
}

function chances(pairs) {
  return make("div", { className: "chances" }, ...pairs.map(([name, chance]) => {
    const bar = make("i", { className: "bar" });
    bar.style.width = `${100 * chance}%`;
    return make("div", {}, `${name}: ${(100 * chance).toFixed(1)} %`, bar);
  }));
}

function canvas() {
  const board = make("canvas", { width: 280, height: 280 }), pen = board.getContext("2d");
  const clear = () => { pen.fillStyle = "black"; pen.fillRect(0, 0, 280, 280); };
  clear();
  Object.assign(pen, { strokeStyle: "white", lineWidth: 24, lineCap: "round", lineJoin: "round" });
  const place = event => [event.offsetX * 280 / board.clientWidth, event.offsetY * 280 / board.clientHeight];
  board.addEventListener("pointerdown", event => {
    board.setPointerCapture(event.pointerId);
    pen.beginPath();
    pen.moveTo(...place(event));
  });
  board.addEventListener("pointermove", event => {
    if (!board.hasPointerCapture(event.pointerId)) return;
    pen.lineTo(...place(event));
    pen.stroke();
  });
  board.setAttribute("role", "img");
  board.setAttribute("aria-label", "Drawing board");
  return { board, clear };
}

function explain(url, about) {
  const result = make("div", { className: "result" }), status = make("p", { className: "note", role: "status" });
  let fitted = null, edited = null;
  const sliders = about.attributes.map(() => make("input", { type: "range", min: -1, max: 1, step: 0.05, value: 0 }));
  const strengths = () => sliders.map(slider => Number(slider.value));
  const edit = sender(url, answer => show(answer), result, status);
  const change = () => edit({ source: "fitted", image: fitted, strengths: strengths() });
  const picture = (name, src, file) => figure({ name, src, file }, 128);
  const effects = about.attributes.map(() => make("span"));
  const show = answer => {
    const now = make("div", {}, picture("edited", answer.edited, "edited.png"), chances(answer.probabilities));
    if (answer.fitted) {
      fitted = answer.fitted;
      edited = now;
      const all = [["Reset", 0], [`All towards ${about.ends[0]}`, -1], [`All towards ${about.ends[1]}`, 1]];
      const buttons = all.map(([name, value]) => {
        const button = make("button", { type: "button" }, name);
        button.addEventListener("click", () => { sliders.forEach(slider => { slider.value = value; }); change(); });
        return button;
      });
      const rows = sliders.map((slider, i) => make("label", {}, `Attribute ${about.attributes[i]}`, slider,
        make("span", { className: "ends" }, about.ends[0], effects[i], about.ends[1])));
      answer.effects.forEach(([low, high], i) => {
        effects[i].textContent = `log odds of ${about.ends[1]}: ${low.toFixed(1)} … ${high.toFixed(1)}`;
      });
      result.replaceChildren(
        make("div", { className: "pictures top" },
          make("div", {}, picture("image", answer.fitted, "image.png"), chances(answer.original)),
          picture("reconstruction", answer.reconstruction, "reconstruction.png"), edited),
        make("div", { className: "buttons" }, ...buttons), make("div", { className: "attributes" }, ...rows));
    } else {
      edited.replaceWith(now);
      edited = now;
    }
  };
  sliders.forEach((slider, i) => { slider.setAttribute("aria-label", `Attribute ${about.attributes[i]}`); slider.addEventListener("input", change); });
  const open = values => { sliders.forEach(slider => { slider.value = 0; }); edit(values); };
  const choose = example => open({ source: "example", example }), run = () => choose(0);
  const examples = about.examples.map((src, i) => {
    const button = make("button", { type: "button", title: `Example ${i}` }, make("img", { src, alt: `Example ${i}` }));
    button.addEventListener("click", () => choose(i));
    return button;
  });
  const file = make("input", { type: "file", accept: "image/*" }), invert = make("input", { type: "checkbox" });
  file.setAttribute("aria-label", "Image file");
  const upload = () => {
    if (!file.files.length) return;
    if (file.files[0].size > 4 * 2 ** 20) {
      status.className = "note error";
      status.textContent = "an upload may have 4 MiB";
      return;
    }
    const reader = new FileReader();
    reader.addEventListener("load", () => open({ source: "upload", image: reader.result, invert: invert.checked }));
    reader.readAsDataURL(file.files[0]);
  };
  file.addEventListener("change", upload);
  invert.addEventListener("change", upload);
  const sources = [
    make("div", {}, make("h3", {}, "Choose an example"), make("div", { className: "examples" }, ...examples)),
    make("div", {}, make("h3", {}, "Upload an image"), file, make("p", { className: "note" }, make("label", {}, invert, " dark on light: invert it"))),
  ];
  if (about.draw) {
    const { board, clear } = canvas();
    const erase = make("button", { type: "button" }, "Clear"), send = make("button", { type: "button", className: "main" }, "Explain the drawing");
    erase.addEventListener("click", clear);
    send.addEventListener("click", () => open({ source: "drawing", image: board.toDataURL("image/png") }));
    sources.push(make("div", {}, make("h3", {}, "Draw a digit"), board, make("div", { className: "buttons" }, send, erase)));
  }
  return { parts: [make("div", { className: "sources" }, ...sources), status, result], run };
}

async function start() {
  const tabs = await (await fetch("tabs.json")).json();
  const bar = document.querySelector("nav"), place = document.getElementById("tabs");
  const opened = tabs.map((tab, index) => {
    const section = make("section", { role: "tabpanel", hidden: true });
    const url = `tabs/${index}`;
    // The server loads the model when the tab is first opened.
    const load = async () => {
      const status = make("p", { className: "note", role: "status" }, "loading the model …");
      section.replaceChildren(status);
      try {
        const { panels } = await ask(url, {});
        const runs = Object.entries(panels).map(([name, about]) => {
          const { parts, run } = (about.kind === "explain" ? explain : form)(`${url}/${name}`, about);
          section.append(make("section", { className: "card", id: `${tab.name}_${name}` }, make("h2", {}, about.title),
            make("p", { className: "text" }, about.lead), ...parts));
          return run;
        });
        status.remove();
        runs[0]();
      } catch (error) {
        status.className = "note error";
        status.textContent = error.message;
        first = true;
      }
    };
    const button = make("button", { type: "button", role: "tab", title: tab.model }, tab.name);
    let first = true;
    const open = () => {
      bar.querySelectorAll("button").forEach(each => each.setAttribute("aria-selected", each === button));
      button.scrollIntoView({ block: "nearest", inline: "nearest" });
      [...place.children].forEach(each => { each.hidden = each !== section; });
      if (!first) return;
      first = false;
      load();
    };
    button.addEventListener("click", open);
    bar.append(button);
    place.append(section);
    return open;
  });
  if (opened.length) opened[0]();
}

start().catch(error => { document.getElementById("tabs").textContent = `the page cannot be shown: ${error.message}`; });
