//! VP8 decoding with the system's libvpx.

#![allow(unsafe_code)] // the binding to `vp8_decoder.c`; nothing outside this file touches it

use std::ffi::{c_int, c_uint};
use std::ptr::NonNull;

use super::CodecError;
use crate::picture::{Picture, Plane};

#[repr(C)]
struct RawDecoder {
    _opaque: [u8; 0],
}

#[repr(C)]
struct RawPicture {
    plane: [*const u8; 3],
    stride: [c_int; 3],
    width: c_uint,
    height: c_uint,
}

unsafe extern "C" {
    fn zego_vp8_new() -> *mut RawDecoder;
    fn zego_vp8_free(decoder: *mut RawDecoder);
    fn zego_vp8_decode(decoder: *mut RawDecoder, data: *const u8, length: c_uint, picture: *mut RawPicture) -> c_int;
}

/// A decoder without error concealment: it gives the picture as it was encoded, or an error.
pub struct Vp8Decoder {
    decoder: NonNull<RawDecoder>,
}

// SAFETY: the decoder is one heap object without thread affinity (libvpx keeps no thread-local state); `&mut self` guards it.
unsafe impl Send for Vp8Decoder {}

impl Vp8Decoder {
    /// A decoder that waits for a key frame.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn new() -> Result<Self, CodecError> {
        // SAFETY: takes nothing; the result is checked.
        let decoder = unsafe { zego_vp8_new() };
        NonNull::new(decoder)
            .map(|decoder| Self { decoder })
            .ok_or_else(|| CodecError::Create { codec: "VP8", reason: "libvpx could not start a decoder".to_owned() })
    }

    /// Decodes one frame and lends its picture, if it shows one, to `show`, straight from the decoder's planes.
    ///
    /// # Errors
    /// [`CodecError::Decode`]: the frame is damaged or refers to one that is missing. Go on with a key frame.
    pub fn decode(&mut self, frame: &[u8], show: impl FnOnce(&Picture<'_>)) -> Result<(), CodecError> {
        let mut raw = RawPicture { plane: [std::ptr::null(); 3], stride: [0; 3], width: 0, height: 0 };
        let length = c_uint::try_from(frame.len()).unwrap_or(0);
        // SAFETY: `decoder` is alive until drop; `frame` and `raw` outlive the call.
        let result = unsafe { zego_vp8_decode(self.decoder.as_ptr(), frame.as_ptr(), length, &raw mut raw) };
        match result {
            0 => Ok(()),
            1 => {
                let (width, height) = (raw.width as usize & !1, raw.height as usize & !1);
                let plane = |index: usize, width: usize, height: usize| {
                    let stride = usize::try_from(raw.stride[index]).unwrap_or(0);
                    let length = if height == 0 || stride < width { 0 } else { stride * (height - 1) + width };
                    // SAFETY: libvpx's picture has `height` rows of `stride` bytes, of which at least `width` are pixels; it
                    // stays as it is until the next decode, which `&mut self` keeps away while `show` runs.
                    Plane { data: unsafe { std::slice::from_raw_parts(raw.plane[index], length) }, stride }
                };
                if width > 0 && height > 0 {
                    show(&Picture {
                        width,
                        height,
                        y: plane(0, width, height),
                        u: plane(1, width / 2, height / 2),
                        v: plane(2, width / 2, height / 2),
                    });
                }
                Ok(())
            }
            code => Err(CodecError::Decode { codec: "VP8", reason: format!("libvpx error {}", -code) }),
        }
    }
}

impl Drop for Vp8Decoder {
    fn drop(&mut self) {
        // SAFETY: made by zego_vp8_new, freed once.
        unsafe { zego_vp8_free(self.decoder.as_ptr()) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::ffi::c_long;

    use super::*;
    use crate::media::codec::test_pictures::{moving, psnr};
    use crate::picture::PictureBuffer;

    #[repr(C)]
    struct RawEncoder {
        _opaque: [u8; 0],
    }

    unsafe extern "C" {
        fn zego_vp8_encoder_new(width: c_uint, height: c_uint, kbps: c_uint) -> *mut RawEncoder;
        fn zego_vp8_encoder_free(encoder: *mut RawEncoder);
        fn zego_vp8_encode(
            encoder: *mut RawEncoder,
            i420: *const u8,
            width: c_uint,
            height: c_uint,
            key: c_int,
            data: *mut *const u8,
        ) -> c_long;
    }

    /// A VP8 encoder as browsers set theirs up.
    pub(crate) struct Vp8TestEncoder(*mut RawEncoder);

    impl Vp8TestEncoder {
        pub(crate) fn new(width: u32, height: u32, kbps: u32) -> Self {
            // SAFETY: takes numbers; the result is checked.
            let encoder = unsafe { zego_vp8_encoder_new(width, height, kbps) };
            assert!(!encoder.is_null());
            Self(encoder)
        }

        pub(crate) fn encode(&mut self, picture: &PictureBuffer, key: bool) -> Vec<u8> {
            let mut data = std::ptr::null();
            let (width, height) = (picture.width() as c_uint, picture.height() as c_uint);
            // SAFETY: the picture's bytes are a packed I420 picture of that size; `data` is read before the next call.
            unsafe {
                let length =
                    zego_vp8_encode(self.0, picture.bytes().as_ptr(), width, height, c_int::from(key), &raw mut data);
                assert!(length > 0, "{length}");
                std::slice::from_raw_parts(data, length as usize).to_vec()
            }
        }
    }

    impl Drop for Vp8TestEncoder {
        fn drop(&mut self) {
            // SAFETY: made by zego_vp8_encoder_new, freed once.
            unsafe { zego_vp8_encoder_free(self.0) }
        }
    }

    #[test]
    fn pictures_survive_encoding_and_decoding() {
        let mut encoder = Vp8TestEncoder::new(640, 480, 4000);
        let mut decoder = Vp8Decoder::new().expect("decoder");
        for frame in 0..30 {
            let source = moving(640, 480, frame);
            let encoded = encoder.encode(&source, frame == 0);
            assert_eq!(encoded[0] & 1 == 0, frame == 0, "key frame bit of frame {frame}");
            let mut shown = false;
            decoder
                .decode(&encoded, |decoded| {
                    shown = true;
                    let quality = psnr(&source.picture(), decoded);
                    assert!(quality > 28.0, "frame {frame}: {quality:.1} dB");
                })
                .expect("decoded");
            assert!(shown, "frame {frame}");
        }
    }

    #[test]
    fn damage_is_an_error_and_a_key_frame_repairs_it() {
        let mut encoder = Vp8TestEncoder::new(320, 240, 500);
        let mut decoder = Vp8Decoder::new().expect("decoder");
        let (first, second) = (encoder.encode(&moving(320, 240, 0), true), encoder.encode(&moving(320, 240, 1), true));
        assert!(decoder.decode(&first[..9], |_| panic!("a picture of nine bytes")).is_err());
        let mut shown = false;
        decoder.decode(&second, |_| shown = true).expect("decoded");
        assert!(shown);
    }
}
