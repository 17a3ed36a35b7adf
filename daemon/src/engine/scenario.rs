//! What a scenario (ZegoScenario) sets where neither the configuration nor a call says otherwise.

/// The defaults of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScenarioDefaults {
    /// Captured and encoded size in pixels.
    pub(super) size: (u32, u32),
    /// Pictures per second.
    pub(super) fps: u32,
    /// kbit/s, that of ZEGO's preset of this size.
    pub(super) video_kbps: u32,
    /// kbit/s, that of ZEGO's presets Standard and High.
    pub(super) audio_kbps: u32,
    /// The camera is on before EnableCamera.
    pub(super) camera: bool,
}

impl ScenarioDefaults {
    /// Those of a scenario's number. The old scenarios 0 to 2 are as Default, and so is a number that does not exist.
    pub(super) const fn of(scenario: i32) -> Self {
        let default = Self { size: (640, 360), fps: 15, video_kbps: 600, audio_kbps: 48, camera: true };
        match scenario {
            // HighQualityVideoCall, Broadcast.
            5 | 8 => Self { size: (960, 540), fps: 24, video_kbps: 1200, ..default },
            // StandardChatroom, Karaoke, StandardVoiceCall.
            6 | 9 | 10 => Self { camera: false, ..default },
            // HighQualityChatroom.
            7 => Self { camera: false, audio_kbps: 128, ..default },
            _ => default,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_their_documented_defaults() {
        for (scenario, height, fps, audio, camera) in [
            (0, 360, 15, 48, true),
            (3, 360, 15, 48, true),
            (4, 360, 15, 48, true),
            (5, 540, 24, 48, true),
            (6, 360, 15, 48, false),
            (7, 360, 15, 128, false),
            (8, 540, 24, 48, true),
            (9, 360, 15, 48, false),
            (10, 360, 15, 48, false),
        ] {
            let is = ScenarioDefaults::of(scenario);
            assert_eq!((is.size.1, is.fps, is.audio_kbps, is.camera), (height, fps, audio, camera), "{scenario}");
        }
    }
}
