// Captions as the text encoder takes them; the same as kerasgan.encoders.char_cnn_rnn.

export const LENGTH = 201; // Characters per caption.

// Returns the indices of a caption's characters, -1 for unknown characters and padding.
export function characters(caption, alphabet) {
  const found = new Int32Array(LENGTH).fill(-1);
  Array.from(caption.toLowerCase()).slice(0, LENGTH).forEach((character, position) => {
    if (Object.hasOwn(alphabet, character)) found[position] = alphabet[character];
  });
  return found;
}

// Returns whether a caption has a known character other than spaces.
export function isReadable(indices, alphabet) {
  return indices.some((index) => index >= 0 && index !== alphabet[" "]);
}

// Returns the words of a caption in lower case, without punctuation.
export function words(caption) {
  return caption.toLowerCase().match(/[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*/gu) ?? [];
}

// Returns `count` numbers from N(0, 1). A seed gives other numbers than in Python.
export function latents(seed, count) {
  let state = seed >>> 0;
  const uniform = () => { // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
  return Float32Array.from({ length: count }, () => // Box and Muller
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}
