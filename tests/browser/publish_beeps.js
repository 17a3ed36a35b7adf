// Publishes a beep a second (1 kHz, 100 ms) and nothing else. Run as `f({url, token, red})`; the codec that is sent is told
// by `window.sent()`.
async ({ url, token, red }) => {
  const context = new AudioContext({ sampleRate: 48000 });
  const second = context.createBuffer(1, 48000, 48000);
  const samples = second.getChannelData(0);
  for (let n = 0; n < 4800; n++) samples[n] = 0.25 * Math.sin((2 * Math.PI * 1000 * n) / 48000);
  const source = context.createBufferSource();
  [source.buffer, source.loop] = [second, true];
  // Of two channels the SDK sends no redundancy.
  const out = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  source.connect(out);
  source.start();
  const room = new LivekitClient.Room();
  window.room = room;
  await room.connect(url, token);
  const publication = await room.localParticipant.publishTrack(out.stream.getAudioTracks()[0], {
    name: 'beeps',
    source: LivekitClient.Track.Source.Microphone,
    // As it comes, the SDK sends redundancy.
    ...(red ? {} : { red }),
    dtx: false,
  });
  window.sent = () => publication.track.sender.getParameters().codecs[0]?.mimeType;
};
