// Reads the machine-readable bar from every picture that a <video> presents, for some milliseconds.
// Returns [[seconds, counter or null, width, height], …].
async ({ selector, milliseconds }) => {
  const video = document.querySelector(selector);
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const CELLS = 40;
  const ROWS = 16;

  const read = () => {
    const width = video.videoWidth;
    canvas.width = width;
    canvas.height = ROWS;
    context.drawImage(video, 0, 0, width, ROWS, 0, 0, width, ROWS);
    const { data } = context.getImageData(0, 0, width, ROWS);
    const bits = [];
    for (let cell = 0; cell < CELLS; cell++) {
      // The middle of a cell: its edges are blurred by the codec.
      const from = Math.round(((cell + 0.3) * width) / CELLS);
      const to = Math.max(Math.round(((cell + 0.7) * width) / CELLS), from + 1);
      let sum = 0;
      for (let row = ROWS / 4; row < (ROWS * 3) / 4; row++) {
        for (let x = from; x < to; x++) {
          const at = (row * width + x) * 4;
          sum += 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
        }
      }
      bits.push(sum / ((ROWS / 2) * (to - from)) > 127 ? 1 : 0);
    }
    const nibbles = [];
    for (let at = 0; at < CELLS; at += 4) {
      nibbles.push(parseInt(bits.slice(at, at + 4).join(''), 2));
    }
    const check = nibbles.slice(1, 9).reduce((a, b) => a ^ b);
    const intact = nibbles[0] === 0b1010 && nibbles[9] === check;
    return intact ? parseInt(bits.slice(4, 20).join(''), 2) : null;
  };

  const seen = [];
  const begin = performance.now();
  return await new Promise((resolve) => {
    const timer = setTimeout(() => resolve(seen), milliseconds);
    const look = (now) => {
      if (now - begin < milliseconds) {
        seen.push([(now - begin) / 1000, read(), video.videoWidth, video.videoHeight]);
        video.requestVideoFrameCallback(look);
      } else {
        clearTimeout(timer);
        resolve(seen);
      }
    };
    video.requestVideoFrameCallback(look);
  });
}
