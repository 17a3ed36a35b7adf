//! Boxes of the ISO base media file format (ISO/IEC 14496-12 section 4.2): a length, four letters, and what is inside.

use bytes::BufMut;

/// Appends a box; `inside` appends what is in it.
pub(super) fn put(out: &mut Vec<u8>, name: &[u8; 4], inside: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(name);
    inside(out);
    // One fragment holds seconds and one header holds parameter sets: neither comes near 4 GiB.
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a box that begins with a version and 24 bits of flags.
pub(super) fn put_full(out: &mut Vec<u8>, name: &[u8; 4], version: u8, flags: u32, inside: impl FnOnce(&mut Vec<u8>)) {
    put(out, name, |out| {
        out.put_u32(u32::from(version) << 24 | flags & 0x00ff_ffff);
        inside(out);
    });
}

/// Appends zeros, for what is reserved or not known.
pub(super) fn put_zeros(out: &mut Vec<u8>, count: usize) {
    out.put_bytes(0, count);
}

/// The boxes that lie one after the other in some bytes: names and insides. For tests, which read what was written.
#[cfg(test)]
pub(super) fn list(mut bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        found.push((bytes[4..8].try_into().unwrap(), &bytes[8..length]));
        bytes = &bytes[length..];
    }
    found
}

/// The inside of the box at a path such as `moov/trak/tkhd`; the first of a name. For tests.
#[cfg(test)]
pub(super) fn find<'a>(bytes: &'a [u8], path: &str) -> &'a [u8] {
    path.split('/').fold(bytes, |bytes, name| {
        let found = list(bytes).into_iter().find(|(other, _)| other == name.as_bytes());
        found.unwrap_or_else(|| panic!("no {name} of {path}")).1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_counts_itself_and_what_is_inside() {
        let mut out = vec![0xff];
        put(&mut out, b"moov", |out| put_full(out, b"mfhd", 1, 0x02_0003, |out| out.put_u16(7)));
        let expected = b"\xff\0\0\0\x16moov\0\0\0\x0emfhd\x01\x02\0\x03\0\x07";
        assert_eq!(out, expected);
        assert_eq!(find(&out[1..], "moov/mfhd"), [1, 2, 0, 3, 0, 7]);
    }
}
