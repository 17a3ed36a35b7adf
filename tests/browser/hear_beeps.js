// Listens to what an <audio> plays, for some milliseconds.
// Returns [[seconds, amplitude at the frequency, amplitude of everything], …], a look every 20 ms or so.
async ({ selector, milliseconds, frequency }) => {
  const audio = document.querySelector(selector);
  const context = new AudioContext({ sampleRate: 48000 });
  await context.resume();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  context.createMediaStreamSource(audio.srcObject).connect(analyser);
  // 960 samples, 20 ms: a whole number of periods of every multiple of 50 Hz, so none leaks into its neighbours.
  const length = 960;
  const samples = new Float32Array(1024);
  const looks = [];
  const begin = performance.now();
  while (performance.now() - begin < milliseconds) {
    analyser.getFloatTimeDomainData(samples);
    let real = 0;
    let imaginary = 0;
    let peak = 0;
    for (let i = 0; i < length; i++) {
      const angle = (2 * Math.PI * frequency * i) / context.sampleRate;
      real += samples[i] * Math.cos(angle);
      imaginary += samples[i] * Math.sin(angle);
      peak = Math.max(peak, Math.abs(samples[i]));
    }
    looks.push([(performance.now() - begin) / 1000, (2 * Math.hypot(real, imaginary)) / length, peak]);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  await context.close();
  return looks;
}
