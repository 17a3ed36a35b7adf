//! RTP header extensions that str0m does not know, kept to be passed on.

use std::sync::Arc;

use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues};

/// How the Dependency Descriptor is named in session descriptions (AV1 RTP specification, A.5).
const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
/// Bytes that an element with one byte of header has at most, and one with two (RFC 8285, section 4).
const SHORT: usize = 16;
const LONG: usize = 255;

/// A packet's Dependency Descriptor, among the user values of its extensions.
#[derive(Debug, PartialEq, Eq)]
pub struct DependencyDescriptor(pub Box<[u8]>);

impl DependencyDescriptor {
    /// The extension, for the configuration of a peer connection.
    pub fn extension() -> Extension {
        Extension::with_serializer(DEPENDENCY_DESCRIPTOR, Serializer)
    }

    /// What a packet says; `None` when it says nothing.
    pub fn of(extensions: &ExtensionValues) -> Option<Arc<DependencyDescriptor>> {
        extensions.user_values.get_arc::<DependencyDescriptor>()
    }
}

#[derive(Debug)]
struct Serializer;

impl ExtensionSerializer for Serializer {
    fn write_to(&self, buffer: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(DependencyDescriptor(bytes)) = values.user_values.get() else { return 0 };
        let Some(room) = buffer.get_mut(..bytes.len()) else { return 0 };
        room.copy_from_slice(bytes);
        bytes.len()
    }

    fn parse_value(&self, bytes: &[u8], values: &mut ExtensionValues) -> bool {
        let fits = (1..=LONG).contains(&bytes.len());
        if fits {
            values.user_values.set(DependencyDescriptor(bytes.into()));
        }
        fits
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        values.user_values.get().is_some_and(|DependencyDescriptor(bytes)| bytes.len() > SHORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_goes_out_as_it_came_in_in_the_form_that_has_room_for_it() {
        for (length, two_bytes) in [(1, false), (3, false), (16, false), (17, true), (255, true)] {
            let bytes: Vec<u8> = (0..length).collect();
            let mut values = ExtensionValues::default();
            assert!(Serializer.parse_value(&bytes, &mut values));
            assert_eq!(DependencyDescriptor::of(&values).expect("one").0[..], bytes);
            assert_eq!(Serializer.requires_two_byte_form(&values), two_bytes, "{length} bytes");
            let mut buffer = [0; 300];
            assert_eq!(Serializer.write_to(&mut buffer, &values), bytes.len());
            assert_eq!(buffer[..bytes.len()], bytes);
            assert_eq!(Serializer.write_to(&mut buffer[..bytes.len() - 1], &values), 0, "there is no room");
        }
    }

    #[test]
    fn a_packet_without_one_gets_none() {
        let mut values = ExtensionValues::default();
        assert!(!Serializer.parse_value(&[], &mut values));
        assert!(DependencyDescriptor::of(&values).is_none());
        assert_eq!(Serializer.write_to(&mut [0; 300], &values), 0);
        assert!(!Serializer.requires_two_byte_form(&values));
    }
}
