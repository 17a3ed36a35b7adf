//! What is delivered to a peer: which packets of a track, in which format, and under which numbers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::format::{Codec, PayloadParams};
use str0m::media::{Mid, Pt};
use str0m::rtp::{RtpWrite, StreamTx};

use super::extensions::DependencyDescriptor;
use super::forward::{Incoming, Rewrite};
use super::frame_numbers::FrameNumbers;
use super::layers::{Choice, Grant, Layer, Selection};
use super::packet::Packet;
use super::peer::Peer;
use super::svc::{Slice, Spatial, Verdict};
use super::tracks::{Track, rank_of_spatial};
use super::vp8::Pictures;
use super::{BEST, TrackKey, Wish, red};

/// Packets kept to answer requests for retransmission, and for how long: half a KiB each beside their payload, which all share. Longer
/// when an answer takes long, as in libwebrtc, which keeps them for a second or three round trips, and of a simulcast: a change loses
/// what was kept, and on a link that got narrow it would just when most is asked for.
pub const RESEND_PACKETS: usize = 2048;
const RESEND_TIME: Duration = Duration::from_secs(1);
const RESEND_TIME_LONG: Duration = Duration::from_secs(3);
/// From this round trip on a subscriber is far away.
const FAR: Duration = Duration::from_millis(300);
/// Largest share of retransmissions in what is sent of a simulcast: on a link that got too narrow, repeating everything that
/// finds no room leaves none for the layer that would fit. Of a track with one encoding no share is too large: a picture that is
/// incomplete is worthless, and what a subscriber asks for is bounded by what it was sent.
const RESEND_SHARE: f32 = 0.4;
/// Bytes of a payload that is passed on, at most. Networks carry no larger ones, and str0m 0.25 panics at a packet of more than 2000 bytes
/// with all of its header.
pub const LARGEST_PAYLOAD: usize = 1500;
/// Time that a client gets, after its answer left, to prepare for what the answer announces. A key frame that arrives
/// before is lost to it, and the next would come only when it asks.
const SETTLE: Duration = Duration::from_millis(20);

/// A track that goes to this peer.
#[derive(Debug)]
pub struct Delivery {
    /// Section that carries it.
    pub mid: Mid,
    /// The track.
    pub track: TrackKey,
    /// How the subscriber shows it.
    pub wish: Wish,
    /// When the outgoing stream was declared: its RTP time 0.
    epoch: Instant,
    /// The client does not know the stream before.
    pub starts_at: Instant,
    /// Best layer that its bandwidth allows.
    pub grant: Grant,
    /// Layer that it gets.
    pub selection: Selection,
    /// Spatial layers that it gets of a stream with several.
    pub spatial: Spatial,
    /// A packet of which it is not known yet whether it is the last one of its picture.
    held: Option<Packet>,
    pictures: Pictures,
    frame_numbers: FrameNumbers,
    /// It has several layers.
    simulcast: bool,
    /// Its packets are kept for longer.
    far: bool,
    rewrite: Option<Rewrite>,
    /// Publisher's payload type, and what its codec is called here.
    format: Option<(Pt, Option<Format>)>,
}

impl Delivery {
    /// Whether any packet went out on it.
    pub fn has_started(&self) -> bool {
        self.rewrite.is_some()
    }

    /// Best layer that it may have now.
    pub fn best(&self) -> u8 {
        self.wish.best.min(self.grant.rank())
    }

    /// Rank of the layer of its track that goes out; `None` when nothing does.
    pub fn flowing(&self, track: &Track) -> Option<u8> {
        let encoding = || self.selection.current().and_then(|ssrc| track.layer(ssrc)).map(|layer| layer.rank);
        self.spatial.current().map(rank_of_spatial).or_else(encoding)
    }

    /// Nothing more of what is forwarded goes out; the next picture begins with a key frame and continues every count.
    fn stop(&mut self) {
        self.selection.stop();
        self.spatial.stop();
        self.held = None;
        self.pictures.pause();
        self.frame_numbers.pause();
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.pause();
        }
    }
}

/// Payload types of a codec that a section takes.
#[derive(Debug, Clone, Copy)]
struct Format {
    plain: Pt,
    /// The same with redundancy.
    red: Option<Pt>,
}

impl Peer {
    pub(super) fn deliver(&mut self, wanted: &[(Mid, TrackKey)], now: Instant) {
        self.deliveries.retain(|d| wanted.contains(&(d.mid, d.track)));
        for (mid, track) in wanted {
            // Negotiated again: payload types may have changed.
            if let Some(delivery) = self.deliveries.iter_mut().find(|d| d.mid == *mid) {
                delivery.format = None;
                continue;
            }
            if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(*mid, None) {
                stream.set_rtx_cache(RESEND_PACKETS, RESEND_TIME, None);
                // The publisher paced it already. What does not fit is not queued here but answered by another layer.
                stream.set_unpaced(true);
            }
            self.deliveries.push(Delivery {
                mid: *mid,
                track: *track,
                wish: Wish::default(),
                epoch: now,
                starts_at: now + SETTLE,
                grant: Grant::default(),
                selection: Selection::default(),
                spatial: Spatial::default(),
                held: None,
                pictures: Pictures::default(),
                frame_numbers: FrameNumbers::default(),
                simulcast: false,
                far: false,
                rewrite: None,
                format: None,
            });
        }
    }

    /// Sends another track on a section, or none for now. The stream goes on: its receiver cannot be told of another one.
    pub fn exchange(&mut self, mid: Mid, track: Option<TrackKey>, now: Instant) {
        let has = |delivery: &Delivery| delivery.mid == mid;
        let known = match self.deliveries.iter().position(has) {
            Some(index) => Some(self.deliveries.remove(index)),
            None => self.resting.iter().position(has).map(|index| self.resting.remove(index)),
        };
        match (known, track) {
            (Some(mut delivery), Some(track)) => {
                delivery.stop();
                (delivery.track, delivery.wish, delivery.format) = (track, Wish::default(), None);
                delivery.starts_at = now;
                self.deliveries.push(delivery);
            }
            (Some(mut delivery), None) => {
                delivery.stop();
                self.resting.push(delivery);
            }
            (None, Some(track)) => {
                let mut wanted: Vec<(Mid, TrackKey)> = self.deliveries.iter().map(|d| (d.mid, d.track)).collect();
                wanted.push((mid, track));
                self.deliver(&wanted, now);
                // It was announced to the client long ago.
                self.deliveries.iter_mut().filter(|d| d.mid == mid).for_each(|d| d.starts_at = now);
            }
            (None, None) => {}
        }
    }

    /// Keeps packets for longer when their receiver turns out to be far away; whether that is new. What was kept is lost by it, once.
    pub fn measured(&mut self, mid: Mid, round_trip: Option<Duration>) -> bool {
        let is_far = round_trip.is_some_and(|round_trip| round_trip >= FAR);
        let near = |d: &&mut Delivery| d.mid == mid && !d.far && !d.simulcast;
        let Some(delivery) = self.deliveries.iter_mut().find(near).filter(|_| is_far) else { return false };
        delivery.far = true;
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, None) {
            stream.set_rtx_cache(RESEND_PACKETS, RESEND_TIME_LONG, None);
        }
        true
    }

    /// What to do with a packet of `layer` of a track; `target` is the layer for a limit.
    pub fn choose(
        &mut self,
        track: TrackKey,
        layer: Layer,
        key_frame: bool,
        at: Instant,
        target: impl FnOnce(u8) -> Option<Layer>,
    ) -> Choice {
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return Choice::Drop };
        if !delivery.wish.shown || delivery.grant.paused() || !self.connected || at < delivery.starts_at {
            delivery.stop();
            return Choice::Drop;
        }
        if layer.rank > 0 && !delivery.simulcast {
            delivery.simulcast = true;
            self.rtc.direct_api().stream_tx_by_mid(delivery.mid, None).into_iter().for_each(forget_sent);
        }
        let Some(target) = target(delivery.best()) else { return Choice::Drop };
        delivery.selection.judge(layer, key_frame, target)
    }

    /// What to do with a packet of a track that has several spatial layers in one stream.
    pub fn choose_spatial(&mut self, track: TrackKey, layer: Layer, slice: Slice, at: Instant) -> Verdict {
        let dropped = Verdict::Drop { wanted: false };
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return dropped };
        if !delivery.wish.shown || delivery.grant.paused() || !self.connected || at < delivery.starts_at {
            delivery.stop();
            return dropped;
        }
        if !delivery.simulcast {
            delivery.simulcast = true;
            self.rtc.direct_api().stream_tx_by_mid(delivery.mid, None).into_iter().for_each(forget_sent);
        }
        let best = delivery.best();
        // Whoever may have the best gets whatever there is.
        let allowed = if best >= BEST { u8::MAX } else { best.saturating_sub(1) };
        let verdict = delivery.spatial.judge(slice, allowed);
        if delivery.spatial.current().is_some() {
            delivery.selection.follow(layer);
        }
        verdict
    }

    /// Keeps a packet of `track` until it is known whether it is the last one of its picture.
    pub fn hold(&mut self, track: TrackKey, packet: &Packet) {
        if let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) {
            delivery.held = Some(packet.clone());
        }
    }

    /// Queues the packet on hold if the one that came tells what it is; true when something was queued.
    pub fn release(&mut self, track: TrackKey, came: Slice, params: &PayloadParams) -> bool {
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return false };
        let Some(last) = delivery.spatial.release(came) else { return false };
        let held = delivery.held.take();
        held.is_some_and(|held| self.write(track, &Packet { marker: last, ..held }, params))
    }

    /// Keeps a packet of `track` from this peer, so that it does not miss it; true when something was queued for that.
    pub fn leave_out(&mut self, track: TrackKey, packet: &Packet) -> bool {
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return false };
        let Some(rewrite) = &mut delivery.rewrite else { return false };
        let Packet { source, sequence, timestamp, made_at, .. } = *packet;
        let Some(outgoing) = rewrite.leave_out(Incoming { source, sequence, timestamp, made_at }) else { return false };
        let Some((_, Some(format))) = delivery.format else { return false };
        let (payload_type, sequence) = (format.plain, outgoing.sequence.into());
        let write = RtpWrite::new(payload_type, sequence, outgoing.timestamp, made_at, Vec::new()).nackable(true);
        let mid = delivery.mid;
        self.queue(mid, write)
    }

    /// Stops a track's present layer, for which the link got too narrow, before the next one's key frame is there. What the link lost
    /// of it would only stand in that key frame's way.
    pub fn cut_layer(&mut self, track: TrackKey) {
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return };
        delivery.stop();
        self.rtc.direct_api().stream_tx_by_mid(delivery.mid, None).into_iter().for_each(forget_sent);
    }

    /// Whether this peer takes the redundancy of `track`, of a publisher's format `params`.
    pub fn takes_redundancy(&mut self, track: TrackKey, params: &PayloadParams) -> bool {
        self.format(track, params).is_some_and(|format| format.red.is_some())
    }

    fn format(&mut self, track: TrackKey, params: &PayloadParams) -> Option<Format> {
        let delivery = self.deliveries.iter_mut().find(|d| d.track == track)?;
        if let Some((_, known)) = delivery.format.filter(|(source, _)| *source == params.pt()) {
            return known;
        }
        let ours = matching(&self.rtc, delivery.mid, params);
        if ours.is_none() {
            log::info!("{}: no format for {:?} was negotiated", self.member.identity, params.spec().codec);
            self.undecodable = Some(track);
        }
        let takes_redundancy = self.redundant.contains(&delivery.mid);
        let format = ours.map(|p| Format { plain: p.pt(), red: p.red().filter(|_| takes_redundancy) });
        delivery.format = Some((params.pt(), format));
        format
    }

    /// Queues one packet of `track` for this peer; false when nothing was queued. `params` is the publisher's format
    /// of the packet.
    pub fn write(&mut self, track: TrackKey, packet: &Packet, params: &PayloadParams) -> bool {
        if packet.payload.len() > LARGEST_PAYLOAD {
            return false;
        }
        let Some(format) = self.format(track, params) else { return false };
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return false };
        let is_redundant = params.red() == Some(packet.payload_type);
        let payload_type = if is_redundant { format.red } else { Some(format.plain) };
        let Some(payload_type) = payload_type else { return false };
        let payload = match is_redundant {
            true => red::with_payload_type(&packet.payload, *format.plain),
            false => Arc::clone(&packet.payload),
        };
        let rate = params.spec().clock_rate.get();
        let first = (packet.sequence as u16 & 0x3fff) + 1024;
        let rewrite = delivery.rewrite.get_or_insert_with(|| Rewrite::new(first, delivery.epoch, rate));
        let Packet { source, sequence, timestamp, made_at, .. } = *packet;
        let incoming = Incoming { source, sequence, timestamp, made_at };
        let Some(outgoing) = rewrite.forward(incoming) else { return false };
        let (mid, simulcast) = (delivery.mid, delivery.simulcast);
        if outgoing.changed && simulcast {
            // Nobody needs the other layer's lost packets any more.
            self.rtc.direct_api().stream_tx_by_mid(mid, None).into_iter().for_each(forget_sent);
        }
        let patch = match params.spec().codec {
            Codec::Vp8 => delivery.pictures.patch(source, &payload, outgoing.newest),
            _ => None,
        };
        let mut extensions = packet.extensions.clone();
        if let Some(descriptor) = DependencyDescriptor::of(&extensions) {
            let patched = delivery.frame_numbers.patch(source, &descriptor.0, outgoing.newest);
            patched.into_iter().for_each(|bytes| extensions.user_values.set(DependencyDescriptor(bytes)));
        }
        let mut write = RtpWrite::new(payload_type, outgoing.sequence.into(), outgoing.timestamp, made_at, payload)
            .marker(packet.marker)
            .ext_vals(extensions)
            .nackable(true);
        if let Some(patch) = patch {
            write = write.vp8_patch(patch);
        }
        if params.spec().codec.is_video() {
            self.silence.picture_sent();
        }
        self.queue(mid, write)
    }

    fn queue(&mut self, mid: Mid, write: RtpWrite) -> bool {
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(mid, None) else { return false };
        stream.write_rtp(write);
        self.backlog.written();
        true
    }
}

/// Nothing of a simulcast that was sent so far is sent again, nor does the share of it that was sent twice count any more: what comes
/// next begins with a key frame, and a link whose queue is full may lose a part of that.
fn forget_sent(stream: &mut StreamTx) {
    stream.set_rtx_cache(RESEND_PACKETS, RESEND_TIME_LONG, None);
    stream.set_rtx_cache(RESEND_PACKETS, RESEND_TIME_LONG, Some(RESEND_SHARE));
}

/// The format in which `mid` of `rtc` takes what a publisher sends as `params`.
fn matching<'a>(rtc: &'a Rtc, mid: Mid, params: &PayloadParams) -> Option<&'a PayloadParams> {
    let media = rtc.media(mid)?;
    let negotiated = |p: &&PayloadParams| media.remote_pts().contains(&p.pt());
    let all = rtc.codec_config().params();
    let exact = rtc.codec_config().match_params(*params).filter(|p| negotiated(p));
    // Decoders take every profile of H.264 that they know of, whatever payload type it comes under; only the
    // packetization must be the agreed one (RFC 6184 section 8.2.2).
    let same_codec = || {
        all.iter().filter(negotiated).find(|p| {
            let (ours, theirs) = (p.spec(), params.spec());
            ours.codec == theirs.codec
                && (ours.codec != Codec::H264
                    || ours.format.packetization_mode.unwrap_or(0) == theirs.format.packetization_mode.unwrap_or(0))
        })
    };
    exact.or_else(same_codec)
}
