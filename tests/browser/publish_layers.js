// Publishes a moving picture in three layers (240x135, 480x270, 960x540), and a tone. By simulcast, or with `codec: 'vp9'` or
// `'av1'` all in one stream (SVC). Run as `f({url, token, dynacast, codec, one, backup})`; `one: false` takes two connections
// (`/rtc`), `backup: true` has a second codec ready for those who do not decode the first.
async ({ url, token, dynacast, codec = 'vp8', one = true, backup = false }) => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [960, 540];
  const context = canvas.getContext('2d');
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  // Each picture is new, so that a key frame needs no more than others. As in a camera's, the most is in details that smaller layers
  // do not have: the big one needs the bit rate that it may have, and the smallest can do without leaving pictures out.
  const draw = () => {
    context.fillStyle = 'gray';
    context.fillRect(0, 0, 960, 540);
    const boxes = (count, size) => {
      for (let n = 0; n < count; n++) {
        context.fillStyle = `rgb(${random() * 255},${random() * 255},${random() * 255})`;
        context.fillRect(random() * 960, random() * 540, size, size);
      }
    };
    boxes(6, 100);
    boxes(1400, 3);
  };
  setInterval(draw, 1000 / 15);
  draw();
  const [track] = canvas.captureStream(15).getVideoTracks();
  const sound = new AudioContext();
  const tone = sound.createOscillator();
  const out = sound.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  const room = new LivekitClient.Room({ dynacast, singlePeerConnection: one });
  window.room = room;
  window.qualities = [];
  await room.connect(url, token);
  room.engine.on('subscribedQualityUpdate', (update) => {
    const on = update.subscribedCodecs[0].qualities.filter((quality) => quality.enabled);
    window.qualities.push(on.map((quality) => quality.quality).sort());
  });
  await room.localParticipant.publishTrack(track, {
    name: 'layers',
    source: LivekitClient.Track.Source.Camera,
    videoCodec: codec,
    simulcast: codec === 'vp8',
    backupCodec: backup,
    degradationPreference: 'maintain-resolution',
    videoEncoding: { maxBitrate: 1_200_000, maxFramerate: 15 },
    videoSimulcastLayers: [
      new LivekitClient.VideoPreset(240, 135, 120_000, 15),
      new LivekitClient.VideoPreset(480, 270, 350_000, 15),
    ],
  });
  await room.localParticipant.publishTrack(out.stream.getAudioTracks()[0], {
    name: 'tone',
    source: LivekitClient.Track.Source.Microphone,
    red: false,
    dtx: false,
  });
};
