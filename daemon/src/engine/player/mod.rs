//! One player: a task that subscribes to a stream whenever it is there, and shows and plays it.

mod inputs;
mod receiving;
mod recording;
mod state;
mod task;

pub(super) use inputs::{Player, PlayerInput};
pub(super) use task::{PlayerSetup, start};
