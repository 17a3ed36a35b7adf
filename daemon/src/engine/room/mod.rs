//! One room: a task that joins it, keeps it, and tells those who publish and play in it how it goes.

mod extra_info;
mod follower;
mod inputs;
mod messages;
mod roster;
mod session;
mod state;
mod task;

pub(super) use follower::{Follower, RoomNews};
pub(super) use inputs::{Room, RoomInput};
pub(super) use task::{Leaving, RoomSetup, start};
