//! What the registry tells of simulated devices: whether they are there, and what they offer.
//!
//! A simulated device that is a file comes and goes with it, so that programs can be tried out with devices that are plugged in
//! and pulled out. A camera or microphone `file:PATH` is there while PATH is; a speaker `file:PATH` is there while the folder
//! is that it writes to. A file that is deleted while it is used was unplugged.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::audio::SAMPLE_RATE;
use crate::devices::DeviceError;
use crate::devices::camera::{self, CameraSource};
use crate::devices::microphone::MicrophoneSource;
use crate::devices::registry::{DeviceFormat, DeviceSource, DeviceState};
use crate::devices::speaker::SpeakerSink;
use crate::devices::wav;

/// Sizes that the test picture is offered in. It can be made in any.
const PATTERN_SIZES: [(u32, u32); 4] = [(1920, 1080), (1280, 720), (640, 480), (320, 240)];
const PATTERN_FPS: f64 = 60.0;

/// The path whose being there means that the device is there; none when it always is.
pub(super) fn presence(source: &DeviceSource) -> Option<PathBuf> {
    match source {
        DeviceSource::Camera(CameraSource::File(path)) | DeviceSource::Microphone(MicrophoneSource::File(path)) => {
            Some(path.clone())
        }
        DeviceSource::Speaker(SpeakerSink::File(path)) => match path.parent() {
            Some(folder) if folder != Path::new("") => Some(folder.to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a simulated device is there.
pub(super) fn state(source: &DeviceSource) -> DeviceState {
    if presence(source).is_none_or(|path| path.exists()) { DeviceState::Available } else { DeviceState::Unplugged }
}

/// What a simulated device offers; nothing when it is not there, or cannot be asked without using it (a FIFO).
pub(super) fn formats(source: &DeviceSource) -> Vec<DeviceFormat> {
    match source {
        DeviceSource::Camera(CameraSource::Pattern(_)) => {
            let format = |(width, height)| video(width, height, PATTERN_FPS);
            PATTERN_SIZES.into_iter().map(format).collect()
        }
        DeviceSource::Camera(CameraSource::File(path)) => camera::file_format(path).into_iter().collect(),
        DeviceSource::Microphone(MicrophoneSource::File(path)) => sound_of(path).into_iter().collect(),
        DeviceSource::Microphone(MicrophoneSource::Tone(_)) => vec![sound(SAMPLE_RATE, 1)],
        DeviceSource::Speaker(SpeakerSink::Null | SpeakerSink::File(_)) => vec![sound(SAMPLE_RATE, 2)],
        _ => Vec::new(),
    }
}

fn video(width: u32, height: u32, fps: f64) -> DeviceFormat {
    DeviceFormat::Video { pixel_format: "YU12".to_owned(), width, height, fps }
}

const fn sound(rate: u32, channels: u32) -> DeviceFormat {
    DeviceFormat::Audio { rates: (rate, rate), channels: (channels, channels) }
}

fn sound_of(path: &Path) -> Option<DeviceFormat> {
    // Opening a FIFO would wait for its writer.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let samples = wav::find_samples(&mut BufReader::new(File::open(path).ok()?)).ok()?;
    Some(sound(samples.rate, u32::try_from(samples.channels).ok()?))
}

/// The beginning of a plain file.
pub(super) fn head(path: &Path, most: u64) -> Option<Vec<u8>> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut head = Vec::new();
    File::open(path).ok()?.take(most).read_to_end(&mut head).ok()?;
    Some(head)
}

/// Refuses to go on with a file that was deleted: the device that it stands for was unplugged.
///
/// # Errors
/// [`DeviceError::Unplugged`].
pub(super) fn still_there(device: &str, file: &File) -> Result<(), DeviceError> {
    match rustix::fs::fstat(file) {
        Ok(status) if status.st_nlink == 0 => Err(DeviceError::Unplugged { device: device.to_owned() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::wav::header;

    #[test]
    fn a_file_is_a_device_while_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let wav = folder.path().join("in.wav");
        let microphone = DeviceSource::Microphone(MicrophoneSource::File(wav.clone()));
        assert_eq!((state(&microphone), formats(&microphone)), (DeviceState::Unplugged, Vec::new()));
        let mut bytes = header(16_000, 1, 4).to_vec();
        bytes.extend([0; 4]);
        std::fs::write(&wav, bytes).unwrap();
        assert_eq!(state(&microphone), DeviceState::Available);
        assert_eq!(formats(&microphone), [sound(16_000, 1)]);
        let file = File::open(&wav).unwrap();
        assert!(still_there("file:in.wav", &file).is_ok());
        std::fs::remove_file(&wav).unwrap();
        assert_eq!(still_there("file:in.wav", &file).unwrap_err().code(), 1_006_006);
        let speaker = |path: PathBuf| DeviceSource::Speaker(SpeakerSink::File(path));
        assert_eq!(state(&speaker(folder.path().join("out.wav"))), DeviceState::Available);
        assert_eq!(state(&speaker(folder.path().join("dock/out.wav"))), DeviceState::Unplugged);
    }

    #[test]
    fn simulated_devices_say_what_they_offer() {
        let folder = tempfile::tempdir().unwrap();
        let clip = folder.path().join("clip.y4m");
        std::fs::write(&clip, b"YUV4MPEG2 W64 H48 F25:1 C420jpeg\n").unwrap();
        assert_eq!(formats(&DeviceSource::Camera(CameraSource::File(clip))), [video(64, 48, 25.0)]);
        let pattern = formats(&DeviceSource::Camera(CameraSource::Pattern("2".to_owned())));
        assert!(pattern.contains(&video(640, 480, 60.0)));
        assert_eq!(formats(&DeviceSource::Speaker(SpeakerSink::Null)), [sound(48_000, 2)]);
    }
}
