//! Jitter buffers: logic that is handed packets and the time, and says what to decode next.
