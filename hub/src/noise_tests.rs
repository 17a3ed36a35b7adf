//! Noise, and good input that is torn, at everything that takes bytes from the network. The targets in `fuzz/` look further.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::fuzzing::{
    Stage, av1_packets, data_packet, data_track_packet, frame, join_request, redundant_sound, sdp, stream, twirp_body,
    vp8_packets, vp9_packets, whip_fragment, whip_offer,
};

/// What a browser offers, and what it sends later.
const OFFER: &str = include_str!("../../fuzz/seeds/hub_whip_offer/offer");
const FRAGMENT: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
    a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n";

/// Bytes of which many mean something: lengths, versions, flags.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0_u8), Just(1), 8_u8..40, Just(0x80), any::<u8>()], 0..most)
}

/// Lines of a text in any order, cut anywhere, with noise behind them; now and then the text as it is.
fn torn(text: &'static str) -> impl Strategy<Value = String> {
    let lines: Vec<&str> = text.lines().collect();
    let picks = vec((any::<prop::sample::Index>(), 0_usize..90, "[ -~é:/;=]{0,12}"), 0..40);
    let mixed = picks.prop_map(move |picks| {
        let line = |(line, length, noise): (prop::sample::Index, usize, String)| {
            let line = line.get(&lines);
            format!("{}{noise}\r\n", line.get(..length).unwrap_or(line))
        };
        picks.into_iter().map(line).collect::<String>()
    });
    prop_oneof![6 => mixed, 1 => Just(text.to_owned())]
}

proptest! {
    #[test]
    fn media_and_data_packets(data in bytes(400), pieces in vec(bytes(60), 0..20)) {
        vp8_packets(&data);
        vp9_packets(&data);
        av1_packets(&data);
        redundant_sound(&data);
        data_packet(&data);
        data_track_packet(&data);
        stream(&pieces);
    }

    #[test]
    fn requests_over_http(data in bytes(300)) {
        join_request(&data);
        twirp_body(&data);
    }

    #[test]
    fn descriptions(offer in torn(OFFER), fragment in torn(FRAGMENT), tag in proptest::option::of("[\"*a-z,]{0,8}")) {
        sdp(&offer);
        whip_offer(&offer);
        whip_fragment(&offer, &fragment, tag.as_deref());
    }

    #[test]
    fn signalling(frames in vec((any::<bool>(), any::<bool>(), bytes(80)), 0..20)) {
        let mut stage = Stage::new();
        for (first, is_text, data) in frames {
            if let Some(request) = frame(&data, is_text) {
                stage.request(if first { 1 } else { 2 }, request);
            }
        }
    }
}
