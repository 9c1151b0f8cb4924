// Runs the ONNX files in a thread of its own, so that the page stays responsive.
//
// Message: {id, file, feeds}, feeds by name: {type, data, dims}. Answer: {id, outputs, ms} or
// {id, error}. One thread of WebAssembly is used, because static hosts do not send the headers
// that several threads need.

const folder = new URL("./", import.meta.url).href;
let runtime;
const sessions = {};

async function load(file) {
  runtime ??= import("./ort/ort.wasm.min.mjs").then((ort) => {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = `${folder}ort/`;
    ort.env.logLevel = "error";
    return ort;
  });
  const ort = await runtime;
  sessions[file] ??= ort.InferenceSession.create(`${folder}models/${file}`);
  return [ort, await sessions[file]];
}

let queue = Promise.resolve();

self.onmessage = ({ data: { id, file, feeds } }) => {
  queue = queue.then(async () => {
    try {
      const [ort, session] = await load(file);
      if (!feeds) return self.postMessage({ id, outputs: {} });
      const tensors = Object.fromEntries(Object.entries(feeds).map(
        ([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)]));
      const start = performance.now();
      const results = await session.run(tensors);
      const ms = performance.now() - start;
      const outputs = Object.fromEntries(Object.entries(results).map(
        ([name, { data, dims }]) => [name, { data, dims }]));
      self.postMessage({ id, outputs, ms });
    } catch (error) {
      delete sessions[file];
      self.postMessage({ id, error: String(error?.message ?? error) });
    }
  });
};
