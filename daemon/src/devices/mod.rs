//! Cameras, microphones and speakers, real and simulated.
