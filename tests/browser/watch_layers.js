// Joins a room and notes, in `window.seen`, when each picture was presented and its width: [seconds, width]; the sound's
// and the picture's receive statistics come from `window.figures()`. Run as `f({url, token, one, adaptive})`; `one: false` takes
// two connections (`/rtc`), `adaptive: true` wishes for what the page shows (adaptiveStream).
async ({ url, token, one = true, adaptive = false }) => {
  const room = new LivekitClient.Room({ adaptiveStream: adaptive, singlePeerConnection: one });
  window.room = room;
  window.seen = [];
  window.states = [];
  window.tracks = {};
  room.on('trackStreamStateChanged', (publication, state) => window.states.push([performance.now() / 1000, state]));
  room.on('trackSubscribed', (track) => {
    window.tracks[track.kind] = track;
    const element = track.attach();
    // As large as the best layer.
    element.style.width = '960px';
    document.body.append(element);
    if (track.kind !== 'video') return;
    const note = (now, frame) => {
      window.seen.push([frame.presentationTime / 1000, frame.width]);
      element.requestVideoFrameCallback(note);
    };
    element.requestVideoFrameCallback(note);
  });
  window.figures = async (kind) => {
    const report = await window.tracks[kind].receiver.getStats();
    return [...report.values()].find((stats) => stats.type === 'inbound-rtp');
  };
  await room.connect(url, token);
};
