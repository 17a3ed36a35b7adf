//! The domain: engine, rooms, publishers, players, their state machines and the events they emit.
