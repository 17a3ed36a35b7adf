// Listens to the two channels that an <audio> plays, for some milliseconds.
// Returns for each channel the amplitude of each frequency: [[left's of the first, …], [right's of the first, …]].
async ({ selector, milliseconds, frequencies }) => {
  const audio = document.querySelector(selector);
  const context = new AudioContext({ sampleRate: 48000 });
  await context.resume();
  const splitter = context.createChannelSplitter(2);
  context.createMediaStreamSource(audio.srcObject).connect(splitter);
  const analysers = [0, 1].map((channel) => {
    const analyser = context.createAnalyser();
    analyser.fftSize = 16384;
    splitter.connect(analyser, channel);
    return analyser;
  });
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  const samples = new Float32Array(16384);
  // 12000 samples, 250 ms, in a window that keeps the other tone at least 70 dB down.
  const length = 12000;
  const window = Array.from({ length }, (_, i) => {
    const turn = (2 * Math.PI * i) / length;
    return 0.42 - 0.5 * Math.cos(turn) + 0.08 * Math.cos(2 * turn);
  });
  const heard = analysers.map((analyser) => {
    analyser.getFloatTimeDomainData(samples);
    return frequencies.map((frequency) => {
      let real = 0;
      let imaginary = 0;
      for (let i = 0; i < length; i++) {
        const angle = (2 * Math.PI * frequency * i) / context.sampleRate;
        real += samples[i] * window[i] * Math.cos(angle);
        imaginary += samples[i] * window[i] * Math.sin(angle);
      }
      return (2 * Math.hypot(real, imaginary)) / (0.42 * length);
    });
  });
  await context.close();
  return heard;
}
