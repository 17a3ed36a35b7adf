//! Noise, and a good answer that is torn, at everything that takes bytes from the network. The targets in `fuzz/` look further.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::fuzzing::{
    data_packets, endpoint_answer, handshake, header_extension, sdp, signalling, video_packets, voice_packets,
};

/// What a server answers.
const ANSWER: &str = include_str!("../../fuzz/seeds/device_sdp/answer");

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
    fn media_and_data_packets(data in bytes(400), packets in vec(bytes(60), 0..20)) {
        video_packets(&data);
        voice_packets(&data);
        header_extension(&data);
        data_packets(&packets);
    }

    #[test]
    fn signalling_and_handshakes(frames in vec(bytes(80), 0..20)) {
        signalling(&frames);
        handshake(&frames);
    }

    #[test]
    fn descriptions(answer in torn(ANSWER)) {
        sdp(&answer);
    }

    #[test]
    fn answers_of_endpoints(
        status in prop_oneof![Just(201_u16), 200_u16..600],
        retry_after in "[0-9é ]{0,12}",
        links in "(<(stun|turns?):[a-z.]{0,9}(:[0-9]{0,6})?>; rel=\"ice-server\"[;, =a-z\"]{0,20})?",
        body in torn(ANSWER),
    ) {
        endpoint_answer(status, &retry_after, &links, &body);
    }
}
