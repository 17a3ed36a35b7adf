//! One publish channel: a task that has a camera and a microphone, shows the preview and publishes.

mod hotplug;
mod inputs;
mod preview;
mod publishing;
mod recording;
mod sending;
mod state;
mod task;

pub(super) use inputs::{Channel, ChannelInput, PublishJob, Until, VideoSettings, Want};
pub(super) use task::{ChannelSetup, start};
