//! The memory of one texture as readers see it: a header, then slots that are written in turn.
//!
//! Offsets are in bytes, integers little-endian. A reader takes the newest frame's number from the header, finds it in slot
//! (number mod slot count), copies the pixels, and keeps them if the slot's lock was even and the same before and after.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{Ordering, fence};

use crate::clock::Monotonic;
use crate::views::memory::SharedMemory;
use crate::views::{Layout, TextureFormat};

const MAGIC: &[u8; 4] = b"ZGTX";
const VERSION: u32 = 1;
/// The newest frame is read while the next two are written.
const SLOTS: u32 = 3;
const PAGE: usize = 4096;

const HEADER_FIELDS: usize = 4;
const HEADER_NEWEST: usize = 40;
const HEADER_SUPERSEDED: usize = 48;

const SLOT_LOCK: usize = 0;
const SLOT_FIELDS: usize = 8;
const SLOT_PIXELS: usize = 64;

/// Header and slots in shared memory.
#[derive(Debug)]
pub(super) struct Slots {
    memory: SharedMemory,
    layout: Layout,
    pixel_bytes: usize,
}

impl Slots {
    /// Empty slots for pictures of the given size.
    pub(super) fn new(width: u32, height: u32, format: TextureFormat) -> io::Result<Self> {
        let (columns, rows) = (width as usize, height as usize);
        let (stride, pixel_bytes) = match format {
            TextureFormat::Xr24 => (columns * 4, columns * 4 * rows),
            TextureFormat::Yu12 => (columns, columns * rows * 3 / 2),
        };
        let slot_size = (SLOT_PIXELS + pixel_bytes).next_multiple_of(PAGE);
        let layout = Layout {
            version: VERSION,
            slot_count: SLOTS,
            slot_size: slot_size as u32,
            first_slot: PAGE as u32,
            width,
            height,
            stride: stride as u32,
            fourcc: format.fourcc(),
        };
        let mut memory = SharedMemory::new(PAGE + SLOTS as usize * slot_size)?;
        let mut header = Vec::from(MAGIC);
        for field in [layout.version, layout.slot_count, layout.slot_size, layout.first_slot] {
            header.extend(field.to_le_bytes());
        }
        header.extend(layout.fourcc.as_bytes());
        for field in [layout.width, layout.height, layout.stride] {
            header.extend(field.to_le_bytes());
        }
        debug_assert_eq!(header[HEADER_FIELDS..].len(), 32, "ends where the atomics begin");
        memory.bytes_mut(0, header.len()).copy_from_slice(&header);
        Ok(Self { memory, layout, pixel_bytes })
    }

    pub(super) const fn layout(&self) -> Layout {
        self.layout
    }

    /// A descriptor for a reader.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.memory.descriptor().try_clone_to_owned()
    }

    /// The slot that frame `number` goes to.
    pub(super) const fn index_of(number: u64) -> usize {
        (number % SLOTS as u64) as usize
    }

    /// Writes frame `number` (1 or more, one more than the last) through `draw` and makes it the newest.
    pub(super) fn write(
        &mut self,
        number: u64,
        captured_at: Option<Monotonic>,
        (source_width, source_height): (u32, u32),
        draw: impl FnOnce(&mut [u8]),
    ) {
        let slot = PAGE + Self::index_of(number) * self.layout.slot_size as usize;
        let lock = self.memory.atomic_u64(slot + SLOT_LOCK);
        let writing = lock.load(Ordering::Relaxed) | 1;
        lock.store(writing, Ordering::Relaxed);
        // No byte of the frame may be seen before the lock is odd …
        fence(Ordering::Release);

        let mut fields = [0; 28];
        fields[..8].copy_from_slice(&number.to_le_bytes());
        fields[8..16].copy_from_slice(&captured_at.map_or(0, Monotonic::as_nanos).to_le_bytes());
        fields[16..20].copy_from_slice(&source_width.to_le_bytes());
        fields[20..24].copy_from_slice(&source_height.to_le_bytes());
        // The last four say that no rotation is left to the reader.
        self.memory.bytes_mut(slot + SLOT_FIELDS, fields.len()).copy_from_slice(&fields);
        draw(self.memory.bytes_mut(slot + SLOT_PIXELS, self.pixel_bytes));

        // … and all of them before it is even again.
        self.memory.atomic_u64(slot + SLOT_LOCK).store(writing + 1, Ordering::Release);
        self.memory.atomic_u64(HEADER_NEWEST).store(number, Ordering::Release);
    }

    /// Tells readers that there is newer memory.
    pub(super) fn supersede(&self) {
        self.memory.atomic_u32(HEADER_SUPERSEDED).store(1, Ordering::Release);
    }
}

/// A reader as the specification describes it, for the tests of this floor.
#[cfg(test)]
pub(super) mod reader {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::views::memory::ReaderMapping;

    pub(crate) struct Reader {
        pub(crate) mapping: ReaderMapping,
    }

    #[derive(Debug)]
    pub(crate) struct Frame {
        pub(crate) number: u64,
        pub(crate) captured_at: u64,
        pub(crate) source: (u32, u32),
        pub(crate) pixels: Vec<u8>,
    }

    impl Reader {
        pub(crate) fn new(memory: &OwnedFd) -> Self {
            Self { mapping: ReaderMapping::new(memory) }
        }

        pub(crate) fn superseded(&self) -> bool {
            self.mapping.u32(48) == 1
        }

        /// The newest frame, or nothing when it was overwritten meanwhile or there is none.
        pub(crate) fn newest(&self) -> Option<Frame> {
            let number = self.mapping.u64(40);
            if number == 0 {
                return None;
            }
            let (count, size, first) = (self.mapping.u32(8), self.mapping.u32(12), self.mapping.u32(16));
            let slot = first as usize + (number % u64::from(count)) as usize * size as usize;
            let before = self.mapping.u64(slot);
            if before % 2 == 1 {
                return None;
            }
            let (height, stride) = (self.mapping.u32(28) as usize, self.mapping.u32(32) as usize);
            let bytes = match &self.mapping.copy(20, 4)[..] {
                b"XR24" => stride * height,
                _ => stride * height * 3 / 2,
            };
            let frame = Frame {
                number: self.mapping.u64(slot + 8),
                captured_at: self.mapping.u64(slot + 16),
                source: (self.mapping.u32(slot + 24), self.mapping.u32(slot + 28)),
                pixels: self.mapping.copy(slot + 64, bytes),
            };
            fence(Ordering::Acquire);
            (self.mapping.u64(slot) == before).then_some(frame)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::reader::Reader;
    use super::*;

    #[test]
    fn every_byte_of_the_header_and_of_a_slot_is_where_it_is_documented() {
        let mut slots = Slots::new(6, 4, TextureFormat::Xr24).unwrap();
        let reader = Reader::new(&slots.descriptor().unwrap());
        let mut expected = Vec::new();
        expected.extend(b"ZGTX");
        expected.extend([1, 0, 0, 0, 3, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x10, 0, 0]);
        expected.extend(b"XR24");
        expected.extend([6, 0, 0, 0, 4, 0, 0, 0, 24, 0, 0, 0]);
        expected.extend([0; 16]);
        assert_eq!(reader.mapping.copy(0, 52), expected);

        slots.write(1, Some(Monotonic::from_nanos(0x0102_0304_0506_0708)), (640, 360), |pixels| {
            assert_eq!(pixels.len(), 96);
            pixels.fill(9);
        });
        let slot = 4096 + 4096;
        let mut expected = vec![2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([8, 7, 6, 5, 4, 3, 2, 1, 0x80, 2, 0, 0, 0x68, 1, 0, 0, 0, 0, 0, 0]);
        expected.resize(64, 0);
        expected.resize(64 + 96, 9);
        expected.push(0);
        assert_eq!(reader.mapping.copy(slot, 64 + 96 + 1), expected);
        assert_eq!(reader.mapping.copy(40, 12), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        slots.supersede();
        assert_eq!(reader.mapping.copy(48, 4), [1, 0, 0, 0]);
    }

    #[test]
    fn planar_pixels_lie_one_after_the_other() {
        let mut slots = Slots::new(6, 4, TextureFormat::Yu12).unwrap();
        let layout = slots.layout();
        assert_eq!((layout.fourcc, layout.stride, layout.slot_count), ("YU12", 6, 3));
        slots.write(1, None, (6, 4), |pixels| assert_eq!(pixels.len(), 24 + 6 + 6));
    }

    #[test]
    fn frames_take_turns_and_the_newest_is_announced() {
        let mut slots = Slots::new(2, 2, TextureFormat::Xr24).unwrap();
        let reader = Reader::new(&slots.descriptor().unwrap());
        assert!(reader.newest().is_none());
        for number in 1..=10_u64 {
            slots.write(number, None, (2, 2), |pixels| pixels.fill(number as u8));
            let frame = reader.newest().unwrap();
            assert_eq!((frame.number, frame.captured_at, frame.pixels), (number, 0, vec![number as u8; 16]));
        }
        assert_eq!(reader.mapping.u64(4096 + 4096), 8, "frames 1, 4, 7 and 10 went to slot 1");
    }

    #[test]
    fn a_reader_in_another_mapping_never_sees_a_torn_frame() {
        let mut slots = Slots::new(64, 64, TextureFormat::Xr24).unwrap();
        let reader = Reader::new(&slots.descriptor().unwrap());
        let done = AtomicBool::new(false);
        let (whole, newest) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let (mut whole, mut newest) = (0_u32, 0);
                while !done.load(Ordering::Relaxed) {
                    let Some(frame) = reader.newest() else { continue };
                    let mark = frame.pixels[0];
                    assert!(frame.pixels.iter().all(|&byte| byte == mark), "torn frame {}", frame.number);
                    assert_eq!(mark, frame.number as u8, "pixels of another frame than {}", frame.number);
                    assert_eq!(frame.captured_at, frame.number);
                    assert!(frame.number >= newest, "time runs backwards");
                    newest = frame.number;
                    whole += 1;
                }
                (whole, newest)
            });
            // A writer far faster than any camera, with pauses in which the reader can win.
            for number in 1..=60_000_u64 {
                slots.write(number, Some(Monotonic::from_nanos(number)), (64, 64), |pixels| pixels.fill(number as u8));
                if number % 64 == 0 {
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
            }
            done.store(true, Ordering::Relaxed);
            watch.join().unwrap()
        });
        assert!(whole > 100, "only {whole} frames were read");
        assert!(newest > 1_000, "the reader stayed at {newest}");
    }
}
