// A WHIP publisher or a WHEP player in a page of any origin. Returns what became of it; the player's <video> is #player.
async ({ endpoint, token, watches, restart }) => {
  const headers = { Authorization: `Bearer ${token}` };
  const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const connected = () =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the connection is ${peer.connectionState}`)), 10000);
      const look = () => {
        if (peer.connectionState === 'connected') {
          clearTimeout(timer);
          resolve();
        }
      };
      peer.addEventListener('connectionstatechange', look);
      look();
    });
  if (watches) {
    const video = document.createElement('video');
    Object.assign(video, { id: 'player', muted: true, autoplay: true });
    document.body.append(video);
    const stream = new MediaStream();
    video.srcObject = stream;
    peer.addTransceiver('audio', { direction: 'recvonly' });
    peer.addTransceiver('video', { direction: 'recvonly' });
    peer.addEventListener('track', ({ track }) => stream.addTrack(track));
  } else {
    const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });
    for (const track of media.getTracks()) {
      // Two sizes find room in what the browser dares to send before it knows the way.
      const sizes = [['q', 4, 80_000], ['f', 1, 600_000]];
      const encoding = ([rid, scaleResolutionDownBy, maxBitrate]) => ({ rid, scaleResolutionDownBy, maxBitrate });
      const sendEncodings = track.kind === 'video' ? sizes.map(encoding) : undefined;
      peer.addTransceiver(track, { direction: 'sendonly', streams: [media], sendEncodings });
    }
  }
  // Candidates that are found later are told by PATCH.
  let session = '';
  let etag = '';
  const waiting = [];
  const statuses = [];
  const fragment = (candidates) => {
    const lines = peer.localDescription.sdp.split('\r\n');
    const first = (prefix) => lines.find((line) => line.startsWith(prefix));
    const head = ['a=group:BUNDLE', 'm=', 'a=mid:', 'a=ice-ufrag:', 'a=ice-pwd:'].map(first);
    return [...head, ...candidates.map((candidate) => `a=${candidate}`), ''].join('\r\n');
  };
  const patch = async (tag, body) => {
    const type = 'application/trickle-ice-sdpfrag';
    return fetch(session, { method: 'PATCH', body, headers: { ...headers, 'Content-Type': type, 'If-Match': tag } });
  };
  const tell = async () => {
    const found = waiting.splice(0);
    if (session && etag && found.length) {
      statuses.push((await patch(etag, fragment(found))).status);
    }
  };
  peer.addEventListener('icecandidate', ({ candidate }) => {
    if (candidate && candidate.candidate) {
      // Between two ICE sessions it is not known yet under which tag they are told.
      waiting.push(candidate.candidate);
      tell();
    }
  });
  await peer.setLocalDescription();
  const offer = peer.localDescription.sdp.replace(/a=candidate:.*\r\n/g, '');
  const post = () => fetch(endpoint, { method: 'POST', body: offer, headers: { ...headers, 'Content-Type': 'application/sdp' } });
  let answer = await post();
  // What is not there yet is asked for again when the server says so.
  for (let tries = 0; answer.status === 409 && answer.headers.has('Retry-After') && tries < 5; tries++) {
    await new Promise((resolve) => setTimeout(resolve, Number(answer.headers.get('Retry-After')) * 1000));
    answer = await post();
  }
  const text = await answer.text();
  if (answer.status !== 201) {
    throw new Error(`${answer.status}: ${text}`);
  }
  session = new URL(answer.headers.get('Location'), answer.url).href;
  etag = answer.headers.get('ETag');
  await peer.setRemoteDescription({ type: 'answer', sdp: text });
  await tell();
  await connected();
  let restarted = null;
  if (restart) {
    peer.restartIce();
    const [before, tag] = [peer.localDescription.sdp, etag];
    etag = '';
    await peer.setLocalDescription();
    const again = await patch('*', fragment([]));
    const lines = (await again.text()).split('\r\n');
    const take = (prefix) => lines.find((line) => line.startsWith(prefix));
    const old = peer.currentRemoteDescription.sdp;
    const renewed = old
      .replace(/a=ice-ufrag:.*/g, take('a=ice-ufrag:'))
      .replace(/a=ice-pwd:.*/g, take('a=ice-pwd:'));
    await peer.setRemoteDescription({ type: 'answer', sdp: renewed });
    etag = again.headers.get('ETag');
    await tell();
    restarted = { status: again.status, tag: etag !== tag, changed: before !== peer.localDescription.sdp };
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await connected();
  }
  window.whip = { peer, end: async () => (await fetch(session, { method: 'DELETE', headers })).status };
  return { session, etag, statuses, restarted };
}
