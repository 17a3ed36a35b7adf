//! One peer connection: the `webrtc` crate with our interceptors and statistics.
