// A publisher or a player by npm's whip-whep, which a module put into the page; the player's <video> is #player.
// Leaves `session`: its client and its connection.
async ({ endpoint, token, watches }) => {
  const peer = new RTCPeerConnection();
  const client = watches ? new window.WHEPClient() : new window.WHIPClient();
  window.session = { client, peer };
  if (watches) {
    const video = document.createElement('video');
    Object.assign(video, { id: 'player', muted: true, autoplay: true });
    document.body.append(video);
    const stream = new MediaStream();
    video.srcObject = stream;
    peer.addEventListener('track', ({ track }) => stream.addTrack(track));
    for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
    await client.view(peer, endpoint, token);
  } else {
    const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });
    for (const track of media.getTracks()) peer.addTransceiver(track, { direction: 'sendonly', streams: [media] });
    await client.publish(peer, endpoint, token);
  }
};
