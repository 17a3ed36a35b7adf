//! How a room is joined: turns the wire's messages into the engine's words.
