//! The media thread: waits for datagrams, timers and commands, and drives the peers' state machines.
//!
//! **Every change of a peer is followed by taking all of its output**, or its state machine is inconsistent (str0m's
//! single-mutation rule). Events of one peer change others: those go to a work list that is emptied before waiting, and
//! before a peer on it gets a datagram of its own. Until then packets for it gather, so that a picture leaves at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use str0m::format::{Codec, PayloadParams};
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::net::{DatagramRecv, Protocol, Receive, Transmit};
use str0m::rtp::{RtpPacket, Ssrc};
use str0m::{Event, IceConnectionState, Input, Output};
use tokio::sync::mpsc::UnboundedSender;
use zego_media_stream::Kind;

use super::backlog::STEP;
use super::channels::ChannelKind;
use super::counters::Counters;
use super::data_tracks::DataRoutes;
use super::extensions::DependencyDescriptor;
use super::keyframes::Want;
use super::layers::Choice;
use super::outgoing::Outgoing;
use super::packet::Packet;
use super::peer::Peer;
use super::quality::Level;
use super::sockets::Sockets;
use super::svc::{Frame, Slice, Verdict};
use super::tcp::TcpSockets;
use super::timing::Report;
use super::tracks::{Track, Tracks};
use super::{
    Command, Notice, ParticipantKey, PeerId, TrackKey, TrackKind, codec, data, dependency_descriptor, loudness,
    quality, vp9,
};
use crate::limits::Rate;

/// Datagrams taken from one socket before the others and the timers get their turn.
const BATCH: usize = 64;
/// No timer is later than this.
const FOREVER: Duration = Duration::from_secs(3600);

/// State of the media thread.
pub struct Driver {
    pub(super) sockets: Sockets,
    pub(super) tcp: TcpSockets,
    commands: Receiver<Command>,
    wake: Arc<OwnedFd>,
    pub(super) notices: UnboundedSender<Notice>,
    /// Each takes 16 KiB: without boxes a list that grows leaves holes of all its former sizes.
    pub(super) peers: Vec<Option<Box<Peer>>>,
    pub(super) slots: HashMap<PeerId, usize>,
    sources: HashMap<(Protocol, SocketAddr), usize>,
    pub(super) tracks: Tracks,
    /// Peers that were changed and whose output is to be taken.
    pub(super) changed: Vec<usize>,
    events: Vec<Event>,
    outgoing: Outgoing,
    counters: Arc<Counters>,
    /// How much data a participant may send.
    data: Rate,
    /// When bandwidth is shared out anew.
    pub(super) next_allocation: Option<Instant>,
    /// When it is told who speaks; not while there is no sound.
    pub(super) next_loudness: Option<Instant>,
    /// When connections are rated; not while there are none.
    pub(super) next_rating: Option<Instant>,
    /// What was told of each participant's connection.
    pub(super) rated: HashMap<ParticipantKey, Level>,
    /// Where data tracks go.
    pub(super) data_routes: DataRoutes,
}

impl Driver {
    /// A driver that has no peers yet.
    pub fn new(
        (sockets, tcp): (Sockets, TcpSockets),
        commands: Receiver<Command>,
        wake: Arc<OwnedFd>,
        notices: UnboundedSender<Notice>,
        counters: Arc<Counters>,
        data: Rate,
    ) -> Driver {
        Driver {
            sockets,
            tcp,
            commands,
            wake,
            notices,
            peers: Vec::new(),
            slots: HashMap::new(),
            sources: HashMap::new(),
            tracks: Tracks::default(),
            changed: Vec::new(),
            events: Vec::new(),
            outgoing: Outgoing::default(),
            counters,
            data,
            next_allocation: None,
            next_loudness: None,
            next_rating: None,
            rated: HashMap::new(),
            data_routes: DataRoutes::default(),
        }
    }

    /// Runs until the commands' sender is gone, then closes all peers.
    pub fn run(mut self) {
        let mut buffer = vec![0u8; 2048];
        let mut datagram = Vec::new();
        loop {
            if !self.take_commands() {
                break;
            }
            let next = self.run_timers(Instant::now());
            let ready = self.wait(next);
            for index in ready.sockets {
                self.take_datagrams(index, &mut buffer);
            }
            let now = Instant::now();
            ready.listeners.into_iter().for_each(|listener| self.tcp.accept(listener, now));
            for (number, may_write) in ready.connections {
                if may_write {
                    self.tcp.flush(number, now);
                }
                self.take_stream(number, &mut datagram);
            }
        }
        for slot in 0..self.peers.len() {
            self.close(slot);
        }
    }

    fn take_commands(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.command(command, Instant::now()),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Drives what is due and returns when the next is.
    fn run_timers(&mut self, now: Instant) -> Instant {
        for (slot, ssrc) in self.tracks.take_due(now) {
            self.ask_for_key_frame(slot, ssrc);
        }
        self.allocate_due(now);
        self.tell_loudness(now);
        self.rate(now);
        let mut next = self.tracks.due().unwrap_or(now + FOREVER);
        for at in [self.next_allocation, self.next_loudness, self.next_rating].into_iter().flatten() {
            next = next.min(at);
        }
        for slot in 0..self.peers.len() {
            let due = self.peers[slot].as_ref().is_some_and(|p| p.wake_at <= now);
            if due {
                self.changed.push(slot);
            }
        }
        self.settle(now);
        for at in [self.tcp.close_silent(now), self.tcp.flush_held(now)].into_iter().flatten() {
            next = next.min(at);
        }
        for peer in self.peers.iter().flatten() {
            next = next.min(peer.wake_at);
        }
        next
    }

    /// Waits for datagrams or a command until `next`.
    fn wait(&self, next: Instant) -> Ready {
        let timeout = next.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(timeout.min(FOREVER)).unwrap_or_default();
        let mut descriptors: Vec<PollFd<'_>> = Vec::with_capacity(self.sockets.len() + 1);
        descriptors.push(PollFd::new(&*self.wake, PollFlags::IN));
        for (_, socket) in (0..self.sockets.len()).filter_map(|n| self.sockets.get(n)) {
            descriptors.push(PollFd::new(socket, PollFlags::IN));
        }
        let streams = descriptors.len();
        descriptors.extend(self.tcp.listeners().map(|listener| PollFd::new(listener, PollFlags::IN)));
        let connections = descriptors.len();
        let mut numbers = Vec::new();
        for (number, stream, waits) in self.tcp.connections() {
            let flags = if waits { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            descriptors.push(PollFd::new(stream, flags));
            numbers.push(number);
        }
        if poll(&mut descriptors, Some(&timeout)).is_err() {
            return Ready::default();
        }
        if !descriptors[0].revents().is_empty() {
            let mut counter = [0u8; 8];
            // Only resets the counter; the commands themselves are in the queue.
            let _ = rustix::io::read(&*self.wake, &mut counter);
        }
        let is_ready = |n: &usize| !descriptors[*n].revents().is_empty();
        let numbered = (connections..descriptors.len()).zip(numbers).filter(|(n, _)| is_ready(n));
        Ready {
            sockets: (1..streams).filter(is_ready).map(|n| n - 1).collect(),
            listeners: (streams..connections).filter(is_ready).map(|n| n - streams).collect(),
            connections: numbered.map(|(n, c)| (c, descriptors[n].revents().contains(PollFlags::OUT))).collect(),
        }
    }

    /// Takes what came over TCP.
    fn take_stream(&mut self, number: usize, datagram: &mut Vec<u8>) {
        self.tcp.read(number, Instant::now());
        while let Some((local, remote)) = self.tcp.next(number, datagram) {
            self.counters.received.datagrams.add(1);
            self.counters.received.bytes.add(datagram.len() as u64);
            let is_known = self.datagram(Protocol::Tcp, remote, local, datagram);
            self.settle(Instant::now());
            self.tcp.judge(number, is_known);
        }
    }

    fn take_datagrams(&mut self, index: usize, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            let Some((local, socket)) = self.sockets.get(index) else { break };
            let local = *local;
            match Sockets::receive(socket, buffer) {
                Ok((length, source)) => {
                    self.counters.received.datagrams.add(1);
                    self.counters.received.bytes.add(length as u64);
                    self.datagram(Protocol::Udp, source, local, &buffer[..length]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // An ICMP message about an earlier datagram, for example.
                Err(_) => {}
            }
        }
        // Not before: what belongs together goes on together.
        self.settle(Instant::now());
    }

    /// Takes a datagram; whether it was somebody's. Peers that it changed are left to be settled.
    fn datagram(&mut self, proto: Protocol, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> bool {
        let now = Instant::now();
        let Ok(contents) = DatagramRecv::try_from(bytes) else { return false };
        let input = Input::Receive(now, Receive { proto, source, destination, contents });
        let accepts = |peers: &[Option<Box<Peer>>], slot: usize| {
            peers.get(slot).and_then(Option::as_ref).is_some_and(|peer| peer.rtc.accepts(&input))
        };
        let known = self.sources.get(&(proto, source)).copied().filter(|slot| accepts(&self.peers, *slot));
        let Some(slot) = known.or_else(|| (0..self.peers.len()).find(|slot| accepts(&self.peers, *slot))) else {
            return false;
        };
        if known.is_none() {
            self.sources.insert((proto, source), slot);
        }
        let Some(peer) = &mut self.peers[slot] else { return true };
        if !peer.transport_sequence.admits(bytes) {
            return true;
        }
        if peer.silence.ends(now) {
            let received: Vec<_> = peer.deliveries.iter().filter(|d| d.has_started()).map(|d| d.track).collect();
            received.into_iter().for_each(|track| self.want_key_frame(slot, track, Want::Repair));
        }
        // What was written to it comes first.
        if self.changed.contains(&slot) {
            self.changed.retain(|changed| *changed != slot);
            self.turn(slot, now);
        }
        self.input(slot, input, now);
        self.outgoing.send(&self.sockets);
        true
    }

    fn input(&mut self, slot: usize, input: Input<'_>, now: Instant) {
        let Some(peer) = &mut self.peers[slot] else { return };
        if matches!(input, Input::Receive(..)) {
            peer.backlog.disturbed();
        }
        match guarded(|| peer.rtc.handle_input(input)) {
            Some(Ok(())) => self.take_output(slot, now),
            Some(Err(error)) => {
                log::info!("{}: {error}", peer.member.identity);
                self.fail(slot);
            }
            None => self.fail(slot),
        }
    }

    /// Drives all changed peers until nothing is left to do.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(slot) = self.changed.pop() {
            self.changed.retain(|changed| *changed != slot);
            self.turn(slot, now);
        }
    }

    /// Turns a peer's state machine until all that may leave now has left: its pacer lets out one packet at each turn, and wants the
    /// next a moment later. The clock stands still meanwhile: what leaves together has left at one time, and with each new
    /// time the estimator would take in another estimate.
    fn turn(&mut self, slot: usize, now: Instant) {
        loop {
            let before = self.counters.sent.datagrams.get();
            self.input(slot, Input::Timeout(now), now);
            let is_due = self.peers[slot].as_ref().is_some_and(|peer| peer.wake_at <= now + STEP);
            if !is_due || self.counters.sent.datagrams.get() == before {
                break;
            }
        }
        self.outgoing.send(&self.sockets);
    }

    fn take_output(&mut self, slot: usize, now: Instant) {
        let mut events = std::mem::take(&mut self.events);
        let Some(peer) = &mut self.peers[slot] else { return };
        let (outgoing, sockets, tcp, counters) =
            (&mut self.outgoing, &self.sockets, &mut self.tcp, &self.counters.sent);
        let taken = guarded(|| {
            loop {
                match peer.rtc.poll_output() {
                    Ok(Output::Transmit(t)) => {
                        counters.datagrams.add(1);
                        counters.bytes.add(t.contents.len() as u64);
                        let has_next = peer.backlog.sent(&t.contents);
                        give_out(t, peer, outgoing, sockets, tcp);
                        if has_next && let Err(error) = peer.rtc.handle_input(Input::Timeout(now)) {
                            log::info!("{}: {error}", peer.member.identity);
                            return false;
                        }
                    }
                    Ok(Output::Event(event)) => events.push(event),
                    Ok(Output::Timeout(at)) => {
                        peer.wake_at = peer.backlog.wake_at(at, now);
                        return true;
                    }
                    Err(error) => {
                        log::info!("{}: {error}", peer.member.identity);
                        return false;
                    }
                }
            }
        });
        let over = taken != Some(true) || !peer.rtc.is_alive();
        for event in events.drain(..) {
            self.event(slot, event);
        }
        self.events = events;
        if over {
            self.fail(slot);
        }
    }

    fn event(&mut self, slot: usize, event: Event) {
        let Some(peer) = &mut self.peers[slot] else { return };
        match event {
            Event::RtpPacket(packet) => {
                if let Some(number) = packet.header.ext_vals.transport_cc {
                    peer.transport_sequence.received(number);
                }
                self.forward(slot, packet);
            }
            Event::EgressBitrateEstimate(estimate) => self.estimated(slot, &estimate, Instant::now()),
            Event::PeerStats(stats) => self.estimated_now(slot, &stats, Instant::now()),
            Event::KeyframeRequest(request) => self.key_frame_wanted(slot, request.mid),
            Event::Connected => {
                (peer.connected, peer.silent) = (true, false);
                let id = peer.id;
                self.next_rating.get_or_insert(Instant::now() + quality::INTERVAL);
                self.notify(Notice::Connected(id));
                self.first_key_frames(slot);
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                peer.silent = true;
                let id = peer.id;
                self.notify(Notice::Silent(id));
            }
            Event::IceConnectionStateChange(IceConnectionState::Connected | IceConnectionState::Completed)
                if peer.connected =>
            {
                peer.silent = false;
                let id = peer.id;
                self.notify(Notice::Connected(id));
            }
            Event::ChannelOpen(id, label) => {
                peer.channel_open(id, &label);
                peer.flush_data();
                self.changed.push(slot);
            }
            Event::MediaIngressStats(stats) => {
                peer.reports.incoming(&stats);
                peer.totals.incoming(&stats, &self.counters.received);
            }
            Event::MediaEgressStats(stats) => {
                peer.reports.outgoing(&stats);
                peer.totals.outgoing(&stats, &self.counters.sent);
                if peer.measured(stats.mid, stats.rtt) {
                    self.changed.push(slot);
                }
            }
            Event::ChannelClose(id) => peer.channel_closed(id),
            Event::ChannelBufferedAmountLow(_) => {
                peer.flush_data();
                self.changed.push(slot);
            }
            Event::ChannelData(message) => {
                if let Some(kind) = peer.channel_kind(message.id) {
                    self.relay(slot, kind, &message.data);
                }
            }
            _ => {}
        }
    }

    fn forward(&mut self, slot: usize, packet: RtpPacket) {
        let Some(peer) = &mut self.peers[slot] else { return };
        let ssrc = packet.header.ssrc;
        let Some((mid, rid)) = peer.rtc.direct_api().stream_rx(&ssrc).map(|s| (s.mid(), s.rid())) else { return };
        let Some((_, key)) = peer.publishing.iter().find(|(published, _)| *published == mid).copied() else { return };
        let payload_type = packet.header.payload_type;
        let named = |p: &PayloadParams| p.pt() == payload_type || p.red() == Some(payload_type);
        let Some(params) = peer.rtc.codec_config().find(named).copied() else { return };
        // A report from before the first packet pairs the time with an RTP timestamp of nothing.
        let report = packet.last_sender_info.as_ref().filter(|s| s.sender_packet_count > 0);
        let report = report.map(|s| Report { wall: s.ntp_time, rtp: s.rtp_time.numer() as u32 });
        let rate = params.spec().clock_rate.get();
        let made_at = peer.clock.made_at(report, packet.header.timestamp, rate, packet.timestamp);
        let Some(track) = self.tracks.get_mut(key) else { return };
        let format = params.spec().codec;
        let vp9 = (format == Codec::Vp9).then(|| vp9::Descriptor::parse(&packet.payload)).flatten();
        let av1 = (format == Codec::Av1).then(|| DependencyDescriptor::of(&packet.header.ext_vals)).flatten();
        let key_frame = match format {
            Codec::H264 => codec::h264_key_frame(&packet.payload),
            Codec::Vp8 => codec::vp8_key_frame(&packet.payload),
            Codec::Av1 => match &av1 {
                Some(descriptor) => dependency_descriptor::begins_key_frame(&descriptor.0),
                None => codec::av1_key_frame(&packet.payload),
            },
            _ => vp9.is_some_and(|descriptor| descriptor.begins_key_frame()),
        };
        let at = packet.timestamp;
        // Sound needs no other packet to begin with.
        let begins = key_frame || track.kind == TrackKind::Audio;
        let lost = track.kind == TrackKind::Video && !key_frame && track.lost(*ssrc, *packet.seq_no, at);
        let layer = track.hear(*ssrc, rid, key_frame, packet.payload.len(), at);
        track.count(*ssrc, *packet.seq_no);
        if let (TrackKind::Audio, Some(level)) = (track.kind, packet.header.ext_vals.audio_level) {
            track.loudness.hear(level.unsigned_abs(), packet.header.timestamp, rate, at);
            self.next_loudness.get_or_insert(at + loudness::INTERVAL);
        }
        let frame = match &av1 {
            Some(descriptor) => track.encoding(*ssrc).and_then(|encoding| encoding.dependencies.read(&descriptor.0)),
            None => vp9.and_then(|descriptor| descriptor.frame()),
        };
        let slice = frame.and_then(|Frame { layer, layers, predicted, ends }| {
            let bytes = packet.payload.len();
            let (timestamp, sequence, marker) = (packet.header.timestamp, *packet.seq_no, packet.header.marker);
            let several = track.hear_spatial(*ssrc, layer, layers, bytes, at);
            several.then_some(Slice { layer, timestamp, sequence, predicted, ends, marker })
        });
        let packet = Packet::new(&packet, format, made_at);
        let unpacked = unpack(track, &packet, &params);
        let (mut wanted, mut undecodable) = (lost, Vec::new());
        for subscriber in &track.subscribers {
            let Some(peer) = self.peers.get_mut(*subscriber).and_then(Option::as_mut) else { continue };
            undecodable.extend(peer.undecodable.take().map(|track| Notice::Undecodable { peer: peer.id, track }));
            if let Some(slice) = slice {
                let mut queued = peer.release(key, slice, &params);
                let verdict = peer.choose_spatial(key, layer, slice, at);
                queued |= match verdict {
                    Verdict::Forward { last: true } => {
                        peer.write(key, &Packet { marker: true, ..packet.clone() }, &params)
                    }
                    Verdict::Forward { last: false } => peer.write(key, &packet, &params),
                    Verdict::Drop { .. } => peer.leave_out(key, &packet),
                    Verdict::Hold => {
                        peer.hold(key, &packet);
                        false
                    }
                };
                if queued {
                    self.changed.push(*subscriber);
                }
                wanted |= verdict == Verdict::Drop { wanted: true };
                continue;
            }
            match peer.choose(key, layer, begins, at, |limit| track.target(limit, at)) {
                Choice::Forward => {
                    let sent = match &unpacked {
                        Some(packets) if !peer.takes_redundancy(key, &params) => {
                            packets.iter().filter(|packet| peer.write(key, packet, &params)).count() > 0
                        }
                        _ => peer.write(key, &packet, &params),
                    };
                    if sent {
                        self.changed.push(*subscriber);
                    }
                }
                Choice::WantKeyFrame => wanted = true,
                Choice::Drop => {}
            }
        }
        if wanted && track.encoding(*ssrc).is_some_and(|e| e.key_frames.want(Want::Repair, at)) {
            self.ask_for_key_frame(slot, *ssrc);
        }
        undecodable.into_iter().for_each(|notice| self.notify(notice));
    }

    fn key_frame_wanted(&mut self, slot: usize, mid: Mid) {
        self.counters.sent.plis.add(1);
        let Some(peer) = &self.peers[slot] else { return };
        let Some(delivery) = peer.deliveries.iter().find(|d| d.mid == mid) else { return };
        let track = delivery.track;
        self.want_key_frame(slot, track, Want::Repair);
    }

    /// The subscriber at `slot` needs a key frame of the layer that it gets, or is to get.
    pub(super) fn want_key_frame(&mut self, slot: usize, key: TrackKey, want: Want) {
        let now = Instant::now();
        let delivery = self.peers[slot].as_ref().and_then(|p| p.deliveries.iter().find(|d| d.track == key));
        let Some((current, best)) = delivery.map(|d| (d.selection.current(), d.best())) else { return };
        let Some(track) = self.tracks.get_mut(key) else { return };
        if track.kind != TrackKind::Video {
            return;
        }
        let publisher = track.publisher;
        let Some(ssrc) = current.or_else(|| track.target(best, now).map(|layer| layer.ssrc)) else { return };
        if track.encoding(ssrc).is_some_and(|encoding| encoding.key_frames.want(want, now)) {
            self.ask_for_key_frame(publisher, ssrc);
        }
    }

    /// Whoever begins to receive needs a key frame, as soon as it can take one.
    pub(super) fn first_key_frames(&mut self, slot: usize) {
        let Some(peer) = self.peers[slot].as_ref().filter(|p| p.connected) else { return };
        for delivery in peer.deliveries.iter().filter(|d| d.wish.shown && !d.has_started()) {
            if let Some(track) = self.tracks.get_mut(delivery.track).filter(|t| t.kind == TrackKind::Video) {
                track.want_at(delivery.best(), delivery.starts_at, Instant::now());
            }
        }
    }

    pub(super) fn ask_for_key_frame(&mut self, slot: usize, ssrc: u32) {
        let Some(peer) = self.peers.get_mut(slot).and_then(Option::as_mut) else { return };
        let ssrc: Ssrc = ssrc.into();
        if let Some(stream) = peer.rtc.direct_api().stream_rx(&ssrc) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            self.counters.received.plis.add(1);
            self.changed.push(slot);
        }
    }

    fn relay(&mut self, slot: usize, kind: ChannelKind, bytes: &[u8]) {
        let Some(peer) = &mut self.peers[slot] else { return };
        let sender = Arc::clone(&peer.member);
        let participant = peer.id.participant;
        if !sender.may_send_data {
            return;
        }
        if !peer.may_send(bytes.len(), self.data, Instant::now()) {
            self.counters.data_dropped.add(1);
            return;
        }
        if kind == ChannelKind::Track {
            self.relay_data_track(participant, bytes);
            return;
        }
        let Some(packet) = data::relay(bytes, &sender.identity, &sender.sid) else {
            log::debug!("{}: a data packet cannot be read", sender.identity);
            return;
        };
        if kind == ChannelKind::Reliable && !sender.last_sequence.advance(packet.sequence) {
            return;
        }
        for other in 0..self.peers.len() {
            let Some(peer) = &mut self.peers[other] else { continue };
            let wanted = peer.id.participant != participant
                && peer.takes_data(kind)
                && peer.member.room == sender.room
                && (packet.to.is_empty() || packet.to.contains(&peer.member.identity));
            if wanted {
                peer.send_data(kind, &packet.bytes);
                self.changed.push(other);
            }
        }
    }

    /// A peer ended by itself, or its state machine can't be used any more.
    pub(super) fn fail(&mut self, slot: usize) {
        if let Some(peer) = self.remove(slot) {
            self.notify(Notice::Closed(peer.id));
        }
    }

    pub(super) fn close(&mut self, slot: usize) {
        let Some(peer) = &mut self.peers[slot] else { return };
        // The client is told by DTLS, which costs one datagram; it does not have to be heard.
        let closed = guarded(|| peer.rtc.close());
        if let Some(Ok(())) = closed {
            let (outgoing, sockets, tcp) = (&mut self.outgoing, &self.sockets, &mut self.tcp);
            let _ = guarded(|| {
                while let Ok(output) = peer.rtc.poll_output() {
                    match output {
                        Output::Transmit(transmit) => give_out(transmit, peer, outgoing, sockets, tcp),
                        Output::Timeout(_) => return,
                        Output::Event(_) => {}
                    }
                }
            });
            self.outgoing.send(&self.sockets);
        }
        self.remove(slot);
    }

    fn remove(&mut self, slot: usize) -> Option<Box<Peer>> {
        let peer = self.peers[slot].take()?;
        self.slots.remove(&peer.id);
        self.sources.retain(|_, owner| *owner != slot);
        self.tracks.remove_peer(slot);
        Some(peer)
    }

    pub(super) fn notify(&self, notice: Notice) {
        // Nobody listens any more when the hub is ending.
        let _ = self.notices.send(notice);
    }
}

/// What is ready after waiting.
#[derive(Debug, Default)]
struct Ready {
    /// UDP sockets.
    sockets: Vec<usize>,
    /// Where TCP connections wait.
    listeners: Vec<usize>,
    /// TCP connections, and whether they take more.
    connections: Vec<(usize, bool)>,
}

/// What those get who take no redundancy of a track that has it; `None` when it has none.
fn unpack(track: &mut Track, packet: &Packet, params: &PayloadParams) -> Option<Vec<Packet>> {
    let red = params.red()?;
    let recovery = &mut track.encoding(packet.source)?.recovery;
    if packet.payload_type != red && !packet.payload.is_empty() {
        let goes = recovery.take(packet.sequence, packet.timestamp);
        return Some(goes.then(|| packet.clone()).into_iter().collect());
    }
    let sounds = recovery.unpack(packet.sequence, packet.timestamp, &packet.payload);
    let rate = params.spec().clock_rate.get();
    Some(sounds.iter().map(|sound| packet.unpacked(sound, params.pt(), rate)).collect())
}

/// A datagram leaves: over TCP now, over UDP with those that follow it.
fn give_out(transmit: Transmit, peer: &Peer, outgoing: &mut Outgoing, sockets: &Sockets, tcp: &mut TcpSockets) {
    let Transmit { proto, source, destination, contents } = transmit;
    match proto {
        Protocol::Udp => outgoing.push((source, destination), contents, sockets),
        _ => {
            let kind = Kind::of(&contents, |payload_type| peer.is_sound(payload_type));
            tcp.send(source, destination, kind, &contents, Instant::now());
        }
    }
}

/// Runs a peer's state machine; `None` when it met a bug of its own. A bug in one peer must not end all others.
pub(super) fn guarded<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}
