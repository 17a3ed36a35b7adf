//! A track that a participant publishes: how it is announced, and its packets.

use std::time::Instant;

use livekit_protocol as proto;
use str0m::media::{MediaKind, Mid, Pt, Rid, Simulcast, SimulcastLayer};
use str0m::rtp::{ExtensionValues, RtpWrite};

use crate::connection::{Connection, Section};
use crate::encoding::{Encoding, Packet, Shape};

/// Where sequence numbers begin.
const FIRST_SEQUENCE: u64 = 1_000;
/// How LiveKit's SDKs name the layers of a simulcast, the smallest first.
const RIDS: [&str; 3] = ["q", "h", "f"];
/// Width and height of the best layer.
const SIZE: (u32, u32) = (1280, 720);
/// Somebody speaks, at this level (dBov).
const LEVEL: i8 = -30;

/// A published track.
#[derive(Debug)]
pub struct Outgoing {
    kind: MediaKind,
    cid: String,
    stream: String,
    shapes: Vec<Shape>,
    encodings: Vec<Encoding>,
    /// Its section, once it was offered.
    pub mid: Option<Mid>,
    payload_type: Option<Pt>,
}

impl Outgoing {
    /// A track of `identity`: sound with one shape, or a picture with one or several.
    pub fn new(identity: &str, kind: MediaKind, shapes: Vec<Shape>) -> Outgoing {
        let name = if kind == MediaKind::Audio { "sound" } else { "picture" };
        let (cid, stream) = (format!("{identity}-{name}"), format!("{identity}-main"));
        Outgoing { kind, cid, stream, shapes, encodings: Vec::new(), mid: None, payload_type: None }
    }

    /// The request that announces it.
    pub fn request(&self) -> proto::AddTrackRequest {
        let is_sound = self.kind == MediaKind::Audio;
        let (r#type, source) = match is_sound {
            true => (proto::TrackType::Audio, proto::TrackSource::Microphone),
            false => (proto::TrackType::Video, proto::TrackSource::Camera),
        };
        let (width, height) = if is_sound { (0, 0) } else { SIZE };
        let layers: Vec<proto::VideoLayer> = if is_sound { Vec::new() } else { self.layers() };
        let codec = |layers: &Vec<proto::VideoLayer>| proto::SimulcastCodec {
            codec: "vp8".into(),
            cid: self.cid.clone(),
            layers: layers.clone(),
            ..Default::default()
        };
        proto::AddTrackRequest {
            cid: self.cid.clone(),
            name: self.cid.clone(),
            stream: self.stream.clone(),
            r#type: r#type as i32,
            source: source as i32,
            width,
            height,
            simulcast_codecs: if layers.is_empty() { Vec::new() } else { vec![codec(&layers)] },
            layers,
            disable_red: true,
            audio_features: if is_sound { vec![proto::AudioTrackFeature::TfNoDtx as i32] } else { Vec::new() },
            ..Default::default()
        }
    }

    fn layers(&self) -> Vec<proto::VideoLayer> {
        let of = |shape: &Shape| {
            // A track with one encoding has the best quality.
            let below = if self.is_simulcast() { 3 - u32::from(shape.encoding) } else { 0 };
            let quality = [proto::VideoQuality::High, proto::VideoQuality::Medium, proto::VideoQuality::Low];
            proto::VideoLayer {
                quality: quality[below as usize] as i32,
                width: SIZE.0 >> below,
                height: SIZE.1 >> below,
                bitrate: shape.bit_rate,
                spatial_layer: 2 - below as i32,
                ..Default::default()
            }
        };
        self.shapes.iter().map(of).collect()
    }

    /// The section that offers it.
    pub fn section(&self) -> Section {
        let send = || self.shapes.iter().filter_map(|shape| Some(SimulcastLayer::new(rid(*shape)?))).collect();
        let simulcast = self.is_simulcast().then(|| Simulcast { send: send(), recv: Vec::new() });
        Section::Send { kind: self.kind, stream: self.stream.clone(), cid: self.cid.clone(), simulcast }
    }

    fn is_simulcast(&self) -> bool {
        self.shapes.len() > 1
    }

    /// Begins to send at `begin`, when its section was answered and it has not begun.
    pub fn begin(&mut self, connection: &Connection, begin: Instant) {
        if self.payload_type.is_some() || connection.is_offering() {
            return;
        }
        self.payload_type = self.mid.and_then(|mid| connection.payload_type(mid));
        if self.payload_type.is_some() {
            self.encodings = self.shapes.iter().map(|shape| Encoding::new(*shape, begin)).collect();
        }
    }

    /// When its next packet is due; never while it has not begun.
    pub fn due(&self) -> Option<Instant> {
        self.encodings.iter().map(Encoding::due).min()
    }

    /// The server asks for a key frame of a layer, or of the only encoding.
    pub fn ask_for_key_frame(&mut self, layer: Option<Rid>) {
        let asked = |shape: Shape| layer.is_none_or(|layer| rid(shape).is_some_and(|rid| layer == Rid::from(rid)));
        self.encodings.iter_mut().filter(|e| asked(e.shape())).for_each(Encoding::ask_for_key_frame);
    }

    /// Hands what is due to the connection, stamped with `sent`. Returns what it was: encoding, and the packet.
    pub fn send(&mut self, connection: &mut Connection, publisher: u16, now: Instant, sent: u64) -> Vec<(u8, Packet)> {
        let (Some(mid), Some(payload_type)) = (self.mid, self.payload_type) else { return Vec::new() };
        let mut written = Vec::new();
        let simulcast = self.is_simulcast();
        for encoding in &mut self.encodings {
            while let Some(packet) = encoding.take(now) {
                let layer = rid(encoding.shape()).filter(|_| simulcast).map(Rid::from);
                let mut api = connection.rtc.direct_api();
                let Some(stream) = api.stream_tx_by_mid(mid, layer) else { continue };
                let payload = encoding.payload(packet, publisher, sent);
                let sequence = FIRST_SEQUENCE + packet.counter;
                let is_sound = self.kind == MediaKind::Audio;
                let extensions = ExtensionValues {
                    audio_level: is_sound.then_some(LEVEL),
                    voice_activity: is_sound.then_some(true),
                    ..Default::default()
                };
                stream.write_rtp(
                    RtpWrite::new(payload_type, sequence.into(), packet.timestamp, packet.due, payload)
                        .marker(packet.last && !is_sound)
                        .ext_vals(extensions)
                        .nackable(!is_sound),
                );
                written.push((encoding.shape().encoding, packet));
            }
        }
        written
    }
}

fn rid(shape: Shape) -> Option<&'static str> {
    RIDS.get(usize::from(shape.encoding).checked_sub(1)?).copied()
}
