// The live demo: three panels on top of the exported models. See build.py for the files it reads.

import { characters, isReadable, latents, words } from "./text.js";

const byId = (id) => document.getElementById(id);
const waiting = {};
let worker, count = 0, about;

// === Models ===

// Runs a file with inputs by name, and returns its outputs by name. Without inputs, it only loads.
export function run(file, feeds) {
  worker ??= startWorker();
  return new Promise((resolve, reject) => {
    waiting[++count] = { resolve, reject };
    worker.postMessage({ id: count, file, feeds });
  });
}

function startWorker() {
  const made = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  made.onmessage = ({ data: { id, outputs, error } }) => {
    const { resolve, reject } = waiting[id];
    delete waiting[id];
    if (error) reject(new Error(error)); else resolve(outputs);
  };
  made.onerror = (event) => {
    for (const { reject } of Object.values(waiting)) reject(new Error(event.message));
  };
  return made;
}

const floats = (data, ...dims) => ({ type: "float32", data, dims });
const integers = (data, ...dims) => ({ type: "int32", data: Int32Array.from(data), dims });

// Returns the image of a caption, float32 [1, S, S, 3] in [-1, 1].
export async function bird(caption, z) {
  const { folder, alphabet, latent_dim: dim } = about.birds;
  const indices = integers(characters(caption, alphabet), 1, 201);
  const { embeddings } = await run(`${folder}/text_encoder.onnx`, { characters: indices });
  const feeds = { embeddings: floats(embeddings.data, ...embeddings.dims), latents: floats(z, 1, dim) };
  return (await run(`${folder}/generator.onnx`, feeds)).images;
}

// Returns images of digits, float32 [N, 28, 28, 1].
export async function digits(labels, z) {
  const { folder, latent_dim: dim } = about.digits;
  return (await run(`${folder}/generator.onnx`, {
    latents: floats(z, labels.length, dim), labels: integers(labels, labels.length),
  })).images;
}

// Returns the style vectors of an image, float32 [32 * 32] in [-1, 1].
export async function encode(image) {
  const { folder, size } = about.stylex, input = floats(image, 1, size, size, 1);
  const { conditions } = await run(`${folder}/classifier.onnx`, { images: input });
  const { w } = await run(`${folder}/encoder.onnx`, { images: input });
  return run(`${folder}/styles.onnx`, {
    w: floats(w.data, ...w.dims), conditions: floats(conditions.data, ...conditions.dims),
  });
}

// Returns the image of style vectors and the classifier's probabilities.
export async function synthesize(styles, rgb) {
  const { folder, size, noise } = about.stylex;
  const { images } = await run(`${folder}/synthesis.onnx`, {
    styles: floats(styles, 1, styles.length), rgb_styles: floats(rgb, 1, rgb.length),
    noise: floats(noise, 1, size, size, 1),
  });
  images.data = images.data.map((x) => Math.min(Math.max(x, -1), 1));
  const input = floats(images.data, 1, size, size, 1);
  const { logits } = await run(`${folder}/classifier.onnx`, { images: input });
  const exps = Array.from(logits.data, (x) => Math.exp(x - Math.max(...logits.data)));
  const sum = exps.reduce((a, b) => a + b);
  return { image: images, probabilities: exps.map((x) => x / sum) };
}

// === Page ===

// Draws image `index` of a batch on a canvas of the image's size.
function draw(canvas, { data, dims: [, height, width, channels] }, index = 0) {
  const pixels = new ImageData(width, height), start = index * height * width * channels;
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      const value = data[start + i * channels + (channels === 3 ? c : 0)];
      pixels.data[4 * i + c] = Math.round((Math.min(Math.max(value, -1), 1) + 1) * 127.5);
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// Returns a function that runs `action` with a status line: at most one run at a time, and the
// last request is not lost.
function panel(status, action) {
  let busy = false, again = false;
  return async function start() {
    if (busy) { again = true; return; }
    busy = true;
    const began = performance.now();
    status.dataset.state = "busy";
    status.textContent = "Computing …";
    try {
      const note = await action();
      const seconds = (performance.now() - began) / 1000;
      status.dataset.seconds = seconds;
      status.textContent = `${seconds.toFixed(2)} s in this browser. ${note ?? ""}`;
      status.dataset.state = "done";
    } catch (error) {
      status.textContent = `It failed: ${error.message}`;
      status.dataset.state = "failed";
    }
    busy = false;
    if (again) { again = false; start(); }
  };
}

const seedOf = (id) => Math.abs(Math.trunc(Number(byId(id).value) || 0)) >>> 0;

function birds() {
  const { alphabet, latent_dim: dim, folder } = about.birds;
  const vocabulary = new Set(about.birds.vocabulary);
  const start = panel(byId("bird-status"), async () => {
    const caption = byId("bird-caption").value;
    if (!isReadable(characters(caption, alphabet), alphabet)) {
      throw new Error("a caption must contain a letter, digit or punctuation mark");
    }
    draw(byId("bird-image"), await bird(caption, latents(seedOf("bird-seed"), dim)));
    byId("bird-image").setAttribute("aria-label", caption);
    const unknown = [...new Set(words(caption))].filter((word) => !vocabulary.has(word));
    return unknown.length
      ? `The text encoder was not trained on: ${unknown.slice(0, 10).join(", ")}.` : "";
  });
  byId("bird-form").onsubmit = (event) => { event.preventDefault(); start(); };
  byId("bird-again").onclick = () => { byId("bird-seed").value = seedOf("bird-seed") + 1; start(); };
  for (const button of document.querySelectorAll("#bird-examples button")) {
    button.onclick = () => { byId("bird-caption").value = button.textContent; start(); };
  }
  return async () => {
    await Promise.all(["text_encoder", "generator"].map((name) => run(`${folder}/${name}.onnx`)));
    await start();
  };
}

function digitPanel() {
  const start = panel(byId("digit-status"), async () => {
    const text = byId("digit-text").value.replace(/\D/g, "").slice(0, 12);
    if (!text) throw new Error("give at least one digit");
    const labels = Array.from(text, Number), dim = about.digits.latent_dim;
    const images = await digits(labels, latents(seedOf("digit-seed"), labels.length * dim));
    byId("digit-images").replaceChildren(...labels.map((label, i) => {
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `a generated ${label}`);
      draw(canvas, images, i);
      return canvas;
    }));
  });
  byId("digit-form").onsubmit = (event) => { event.preventDefault(); start(); };
  byId("digit-again").onclick = () => { byId("digit-seed").value = seedOf("digit-seed") + 1; start(); };
  return start;
}

function stylex() {
  const { attributes, images, bounds, classes, size } = about.stylex;
  let encoded;
  // Moving a slider to the right moves the prediction to the first class.
  const sliders = attributes.map(({ name, coordinate, direction }, i) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "range", min: 0, max: 1, step: 0.01, id: `attribute-${i}` });
    input.oninput = () => start();
    label.append(`${name} (right: more like ${classes[0]})`, input);
    byId("stylex-sliders").append(label);
    let [low, high] = bounds.map((row) => row[coordinate]);
    if (direction === "minimum") [low, high] = [high, low];
    const place = (value) => (value - low) / (high - low || 1);
    return { input, coordinate, low, high, place, moved: () => input.value !== input.dataset.own };
  });
  const start = panel(byId("stylex-status"), async () => {
    const styles = Float32Array.from(encoded.styles.data);
    for (const { input, coordinate, low, high, moved } of sliders) {
      if (moved()) styles[coordinate] = low + Number(input.value) * (high - low);
    }
    const { image, probabilities } = await synthesize(styles, encoded.rgb_styles.data);
    draw(byId("stylex-image"), image);
    byId("stylex-bar").style.width = `${100 * probabilities[0]}%`;
    byId("stylex-probabilities").textContent = classes
      .map((name, i) => `${name}: ${(100 * probabilities[i]).toFixed(1)} %`).join(", ");
    byId("stylex-probabilities").dataset.first = probabilities[0];
  });
  async function choose(index) {
    encoded = await encode(Float32Array.from(images[index], (x) => x / 127.5 - 1));
    for (const { input, coordinate, place } of sliders) {
      input.value = place(encoded.styles.data[coordinate]);
      input.dataset.own = input.value;
    }
    document.querySelectorAll("#stylex-choices button").forEach(
      (button, i) => button.setAttribute("aria-pressed", i === index));
    await start();
  }
  byId("stylex-choices").replaceChildren(...images.map((image, i) => {
    const button = document.createElement("button"), canvas = document.createElement("canvas");
    draw(canvas, { data: image.map((x) => x / 127.5 - 1), dims: [1, size, size, 1] });
    button.setAttribute("aria-label", `held-out digit ${i + 1}`);
    button.append(canvas);
    button.onclick = () => choose(i);
    return button;
  }));
  byId("stylex-reset").onclick = () => {
    for (const { input } of sliders) input.value = input.dataset.own;
    start();
  };
  return () => choose(0);
}

// Shows the page if the models are there, otherwise the reason.
async function main() {
  const answer = await fetch(new URL("models/demo.json", import.meta.url)).catch(() => null);
  about = answer?.ok ? await answer.json() : { missing: "the models were not built" };
  if (about.missing) {
    byId("demo-missing").hidden = false;
    byId("demo-reason").textContent = about.missing;
    return;
  }
  byId("demo").hidden = false;
  const panels = { birds, digits: digitPanel, stylex }, starts = {};
  // The files of a panel are loaded when it comes into view.
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) { seen.unobserve(target); starts[target.dataset.panel](); }
    }
  });
  for (const section of document.querySelectorAll("[data-panel]")) {
    const name = section.dataset.panel;
    section.hidden = !about[name]; // A panel may be left out of the build.
    if (section.hidden) continue;
    starts[name] = panels[name]();
    seen.observe(section);
  }
}

export const ready = main();
