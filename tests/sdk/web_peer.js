// A participant made of the unmodified npm package `livekit-client`, in a page of its own: what it is told, and what it shows.
// The test calls `peer.…` and reads `told`.

const told = [];
const tell = (event, words = {}) => told.push({ event, ...words });
const { Room, RoomEvent, DataPacket_Kind } = LivekitClient;

const peer = {
  async join(url, token, singlePeerConnection) {
    const room = (peer.room = new Room({ singlePeerConnection }));
    const stream = (publication) => publication.trackName || publication.source;
    room
      .on(RoomEvent.ParticipantConnected, (who) => tell("joined", { user: who.identity }))
      .on(RoomEvent.ParticipantDisconnected, (who) => tell("left", { user: who.identity }))
      .on(RoomEvent.TrackSubscribed, (track, publication, who) => {
        peer.show(track);
        tell("track", { user: who.identity, stream: stream(publication), kind: track.kind });
      })
      .on(RoomEvent.TrackUnsubscribed, (track, publication, who) => {
        track.detach().forEach((element) => element.remove());
        tell("ended", { user: who.identity, stream: stream(publication), kind: track.kind });
      })
      .on(RoomEvent.TrackMuted, (publication, who) => tell("muted", { user: who.identity, kind: publication.kind }))
      .on(RoomEvent.TrackUnmuted, (publication, who) => tell("unmuted", { user: who.identity, kind: publication.kind }))
      .on(RoomEvent.LocalTrackSubscribed, (publication) => tell("subscribed", { kind: publication.kind }))
      .on(RoomEvent.TrackSubscriptionPermissionChanged, (publication, status, who) => tell("permission", { user: who.identity, kind: publication.kind, status }))
      .on(RoomEvent.DataReceived, (data, who, kind, topic) =>
        tell("data", { user: who?.identity ?? "", topic, text: new TextDecoder().decode(data), reliable: kind === DataPacket_Kind.RELIABLE }),
      )
      .on(RoomEvent.DataTrackPublished, (track) => {
        tell("data_track", { user: track.publisherIdentity, track: track.info.name });
        peer.follow(track);
      })
      .on(RoomEvent.DataTrackUnpublished, () => tell("data_track_ended"))
      .on(RoomEvent.ActiveSpeakersChanged, (who) => tell("speakers", { users: who.map((one) => one.identity) }))
      .on(RoomEvent.ConnectionQualityChanged, (quality, who) => tell("quality", { user: who.identity, quality }))
      .on(RoomEvent.ParticipantAttributesChanged, (changed, who) => tell("attributes", { user: who.identity, changed }))
      .on(RoomEvent.RoomMetadataChanged, (text) => tell("room_metadata", { new: text }))
      .on(RoomEvent.SignalReconnecting, () => tell("signal_reconnecting"))
      .on(RoomEvent.Reconnecting, () => tell("reconnecting"))
      .on(RoomEvent.Reconnected, () => tell("reconnected"))
      .on(RoomEvent.Disconnected, (reason) => tell("disconnected", { reason }));
    room.registerTextStreamHandler("text", async (reader, who) => tell("text", { user: who.identity, text: await reader.readAll() }));
    room.registerRpcMethod("shout", async (call) => `${call.callerIdentity}: ${call.payload.toUpperCase()}`);
    await room.connect(url, token);
    const { localParticipant: me, remoteParticipants: others } = room;
    tell("connected", { user: me.identity, users: [...others.keys()], server: room.serverInfo.version });
  },

  publish: () => peer.room.localParticipant.enableCameraAndMicrophone(),
  mute: (off) => peer.room.localParticipant.setMicrophoneEnabled(!off),
  unpublish: () => Promise.all([...peer.room.localParticipant.trackPublications.values()].map((one) => peer.room.localParticipant.unpublishTrack(one.track))),
  permit: (all) => peer.room.localParticipant.setTrackSubscriptionPermissions(all),
  data: (topic, text, reliable) => peer.room.localParticipant.publishData(new TextEncoder().encode(text), { topic, reliable }),
  text: (text) => peer.room.localParticipant.sendText(text, { topic: "text" }),
  attribute: (name, value) => peer.room.localParticipant.setAttributes({ [name]: value }),
  call: (destinationIdentity, payload) => peer.room.localParticipant.performRpc({ destinationIdentity, method: "shout", payload }),
  simulate: (scenario) => peer.room.simulateScenario(scenario),
  // After a full reconnect the SDK says `reconnected` up to two seconds before it is done. What it sends reliably meanwhile it keeps for
  // the next resume.
  settled: () => !peer.room.engine.attemptingReconnect,
  leave: () => peer.room.disconnect(),
  // How many are in the room, and how many of them publish.
  counts: () => [peer.room.numParticipants, peer.room.numPublishers],

  // A data track of its own, and those of others: every frame that comes.
  dataTracks: {},
  async dataTrack(name) {
    peer.dataTracks[name] = await peer.room.localParticipant.publishDataTrack({ name });
  },
  endDataTrack: (name) => peer.dataTracks[name].unpublish(),
  push: (name, size) => peer.dataTracks[name].tryPush({ payload: new Uint8Array(size).map((_, n) => n % 251) }),
  async follow(track) {
    const reader = track.subscribe().getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const { payload } = read.value;
      tell("frame", { track: track.info.name, size: payload.length, sum: payload.reduce((sum, byte) => sum + byte, 0) });
    }
  },

  show(track) {
    const element = track.attach();
    element.muted = true;
    document.body.append(element);
    const count = (now) => {
      peer.presented += 1;
      peer.gap = Math.max(peer.gap, now - peer.newest);
      peer.newest = now;
      element.requestVideoFrameCallback(count);
    };
    if (track.kind === "video") element.requestVideoFrameCallback(count);
  },

  // Pictures that were presented so far, of all videos.
  presented: 0,
  pictures: () => peer.presented,

  // The longest time between two of them since this was asked last, in milliseconds; one that has not ended yet counts, too.
  newest: performance.now(),
  gap: 0,
  longestGap() {
    const gap = Math.max(peer.gap, performance.now() - peer.newest);
    peer.gap = 0;
    return gap;
  },
};
