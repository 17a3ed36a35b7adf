//! One room: a task that joins it, keeps it, and tells those who publish and play in it how it goes.

mod follower;
mod inputs;
mod roster;
mod session;
mod state;
mod task;

pub(super) use follower::{Follower, RoomNews};
pub(super) use inputs::{Room, RoomInput};
pub(super) use task::{RoomSetup, start};
