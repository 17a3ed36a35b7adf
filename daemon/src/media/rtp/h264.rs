//! H.264 in RTP, packetization mode 1 (RFC 6184): single units, STAP-A and FU-A.

use bytes::{BufMut, Bytes, BytesMut};

use super::{MAX_PAYLOAD, PayloadError};

/// Coded slice of an IDR picture.
pub const IDR: u8 = 5;
/// Sequence parameter set.
pub const SPS: u8 = 7;
/// Picture parameter set.
pub const PPS: u8 = 8;
/// Access unit delimiter.
pub const AUD: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const TYPE: u8 = 0x1f;
const START: u8 = 0x80;
const END: u8 = 0x40;

/// Splits access units into payloads. The bytes are copied once, out of the encoder's buffer, into one buffer per access unit that all
/// its payloads share.
#[derive(Debug, Default)]
pub struct H264Packetizer {
    buffer: BytesMut,
    /// Ends of the payloads in `buffer`.
    ends: Vec<usize>,
    /// Parameter sets that wait for another small unit to share a packet with: where their STAP-A began, and how many are in it.
    open: Option<(usize, usize)>,
}

impl H264Packetizer {
    /// A packetizer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one NAL unit, without start code, to the access unit. Parameter sets share one packet; slices travel alone or in fragments.
    pub fn push(&mut self, nal: &[u8]) {
        let Some((&header, body)) = nal.split_first() else { return };
        if matches!(header & TYPE, SPS | PPS) && nal.len() <= MAX_PAYLOAD / 4 {
            self.aggregate(nal);
            return;
        }
        self.close_aggregate();
        if nal.len() <= MAX_PAYLOAD {
            self.buffer.put_slice(nal);
            self.ends.push(self.buffer.len());
            return;
        }
        // Fragments of equal size: a last one of few bytes would cost as much as a full one.
        let count = body.len().div_ceil(MAX_PAYLOAD - 2);
        let size = body.len().div_ceil(count);
        let fragments = body.chunks(size);
        let last = fragments.len() - 1;
        self.buffer.reserve(nal.len() + 2 * count);
        for (index, fragment) in fragments.enumerate() {
            let start = if index == 0 { START } else { 0 };
            let end = if index == last { END } else { 0 };
            self.buffer.put_u8(header & !TYPE | FU_A);
            self.buffer.put_u8(start | end | header & TYPE);
            self.buffer.put_slice(fragment);
            self.ends.push(self.buffer.len());
        }
    }

    /// Ends the access unit and gives its payloads, in order, to `each`, which also learns whether it is the last (the marker).
    pub fn finish(&mut self, mut each: impl FnMut(Bytes, bool)) {
        self.close_aggregate();
        let mut unit = self.buffer.split().freeze();
        let mut taken = 0;
        for (index, &end) in self.ends.iter().enumerate() {
            let payload = unit.split_to(end - taken);
            taken = end;
            each(payload, index + 1 == self.ends.len());
        }
        self.ends.clear();
    }

    /// Payloads of the access unit so far.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.ends.len() + usize::from(self.open.is_some())
    }

    fn aggregate(&mut self, nal: &[u8]) {
        if let Some((start, _)) = self.open
            && self.buffer.len() - start + 2 + nal.len() > MAX_PAYLOAD
        {
            self.close_aggregate();
        }
        if self.open.is_none() {
            self.open = Some((self.buffer.len(), 0));
            self.buffer.put_u8(STAP_A);
        }
        let Some((start, count)) = &mut self.open else { return };
        // RFC 6184 §5.7: the aggregate is as important as its most important unit.
        let importance = (self.buffer[*start] & 0x60).max(nal[0] & 0x60);
        self.buffer[*start] = importance | STAP_A;
        *count += 1;
        self.buffer.put_u16(u16::try_from(nal.len()).expect("a unit that fits a packet"));
        self.buffer.put_slice(nal);
    }

    fn close_aggregate(&mut self) {
        let Some((start, count)) = self.open.take() else { return };
        if count == 1 {
            // Alone it needs no wrapping: move it over the aggregate's header and length.
            let end = self.buffer.len();
            self.buffer.copy_within(start + 3..end, start);
            self.buffer.truncate(end - 3);
        }
        self.ends.push(self.buffer.len());
    }
}

/// What one payload says about its place in the access unit, without assembling it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// An access unit begins here for certain: it holds a parameter set or a delimiter.
    pub begins_unit: bool,
    /// It holds a sequence parameter set.
    pub parameters: bool,
    /// It holds (a part of) an IDR slice.
    pub idr: bool,
}

/// Looks at one payload.
#[must_use]
pub fn glance(payload: &[u8]) -> Glance {
    let mut found = Glance::default();
    let mut see = |header: u8| {
        found.begins_unit |= matches!(header & TYPE, SPS | AUD);
        found.parameters |= header & TYPE == SPS;
        found.idr |= header & TYPE == IDR;
    };
    match payload {
        [header, units @ ..] if header & TYPE == STAP_A => {
            let mut rest = units;
            while let [high, low, unit @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if length == 0 || length > unit.len() {
                    break;
                }
                see(unit[0]);
                rest = &unit[length..];
            }
        }
        [header, fragment, ..] if header & TYPE == FU_A => see(*fragment),
        [header, ..] => see(*header),
        [] => {}
    }
    found
}

/// Puts the payloads of one access unit, in order, together as Annex B.
#[derive(Debug, Default)]
pub struct H264Assembler {
    /// Whether a fragmented unit has begun and not ended.
    in_fragments: bool,
}

impl H264Assembler {
    /// Appends one payload to `unit`.
    ///
    /// # Errors
    /// [`PayloadError`] when the payload is damaged or a fragment is missing: the access unit is of no use then.
    pub fn push(&mut self, payload: &[u8], unit: &mut Vec<u8>) -> Result<(), PayloadError> {
        let (&header, body) = payload.split_first().ok_or(PayloadError::Truncated)?;
        match header & TYPE {
            FU_A => {
                let (&fragment, data) = body.split_first().ok_or(PayloadError::Truncated)?;
                if (fragment & START != 0) == self.in_fragments {
                    return Err(PayloadError::Fragments);
                }
                if fragment & START != 0 {
                    unit.extend_from_slice(&[0, 0, 0, 1, header & !TYPE | fragment & TYPE]);
                }
                self.in_fragments = fragment & END == 0;
                unit.extend_from_slice(data);
                Ok(())
            }
            _ if self.in_fragments => Err(PayloadError::Fragments),
            STAP_A => {
                let mut rest = body;
                while !rest.is_empty() {
                    let [high, low, nal @ ..] = rest else { return Err(PayloadError::Truncated) };
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    if length == 0 || length > nal.len() {
                        return Err(PayloadError::Truncated);
                    }
                    unit.extend_from_slice(&[0, 0, 0, 1]);
                    unit.extend_from_slice(&nal[..length]);
                    rest = &nal[length..];
                }
                Ok(())
            }
            1..=23 => {
                unit.extend_from_slice(&[0, 0, 0, 1]);
                unit.extend_from_slice(payload);
                Ok(())
            }
            other => Err(PayloadError::Unsupported(other)),
        }
    }

    /// Ends the access unit.
    ///
    /// # Errors
    /// [`PayloadError::Fragments`] when a fragmented unit has no end.
    pub fn finish(self) -> Result<(), PayloadError> {
        if self.in_fragments { Err(PayloadError::Fragments) } else { Ok(()) }
    }
}

/// The NAL units of an Annex B stream (ITU-T H.264 Annex B), without start codes and the zeros that may follow a unit.
pub fn nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(annex_b);
    std::iter::from_fn(move || {
        let data = rest?;
        let end = data.windows(3).position(|three| three == [0, 0, 1]).unwrap_or(data.len());
        rest = after_start_code(&data[end..]);
        let unit = &data[..end];
        let zeros = unit.iter().rev().take_while(|&&byte| byte == 0).count();
        Some(&unit[..unit.len() - zeros])
    })
    .filter(|unit| !unit.is_empty())
}

fn after_start_code(data: &[u8]) -> Option<&[u8]> {
    data.windows(3).position(|three| three == [0, 0, 1]).map(|at| &data[at + 3..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packetize(nals: &[Vec<u8>]) -> Vec<(Bytes, bool)> {
        let mut packetizer = H264Packetizer::new();
        for nal in nals {
            packetizer.push(nal);
        }
        let expected = packetizer.packets();
        let mut payloads = Vec::new();
        packetizer.finish(|payload, marker| payloads.push((payload, marker)));
        assert_eq!(payloads.len(), expected);
        payloads
    }

    fn assemble(payloads: &[(Bytes, bool)]) -> Result<Vec<u8>, PayloadError> {
        let (mut assembler, mut unit) = (H264Assembler::default(), Vec::new());
        for (payload, _) in payloads {
            assembler.push(payload, &mut unit)?;
        }
        assembler.finish().map(|()| unit)
    }

    fn nal(header: u8, length: usize) -> Vec<u8> {
        std::iter::once(header).chain((1..length).map(|n| (n % 251) as u8 | 1)).collect()
    }

    #[test]
    fn a_key_frame_is_a_stap_a_and_fragments() {
        let nals = [nal(0x67, 12), nal(0x68, 5), nal(0x65, 5000)];
        let payloads = packetize(&nals);
        assert_eq!(payloads[0].0[0], 0x60 | 24, "STAP-A with the importance of its units");
        assert_eq!(&payloads[0].0[1..4], [0, 12, 0x67]);
        assert!(payloads[1..].iter().all(|(p, _)| p[0] == 0x60 | 28 && p.len() <= MAX_PAYLOAD));
        let flags: Vec<u8> = payloads[1..].iter().map(|(p, _)| p[1]).collect();
        assert_eq!(flags, [0x85, 0x05, 0x05, 0x05, 0x45]);
        let markers: Vec<bool> = payloads.iter().map(|(_, marker)| *marker).collect();
        assert_eq!(markers, [false, false, false, false, false, true]);
        let seen = glance(&payloads[0].0);
        assert_eq!(seen, Glance { begins_unit: true, parameters: true, idr: false });
        assert!(glance(&payloads[3].0).idr && !glance(&payloads[3].0).begins_unit);
    }

    #[test]
    fn small_units_travel_as_they_are() {
        let payloads = packetize(&[nal(0x41, 1200)]);
        assert_eq!(payloads.len(), 1);
        assert_eq!(&payloads[0].0[..], nal(0x41, 1200));
        let lone_parameters = packetize(&[nal(0x67, 12), nal(0x65, 100)]);
        assert_eq!(&lone_parameters[0].0[..], nal(0x67, 12), "no aggregate of one");
    }

    #[test]
    fn damaged_and_missing_fragments_are_noticed() {
        let payloads = packetize(&[nal(0x65, 5000)]);
        for missing in 0..payloads.len() {
            let mut left = payloads.clone();
            left.remove(missing);
            let result = assemble(&left);
            // A fragment in the middle cannot be missed from the payloads alone: sequence numbers tell.
            let ends = missing == 0 || missing + 1 == payloads.len();
            assert_eq!(result.is_err(), ends, "without {missing}");
        }
        let cases: [(&[u8], PayloadError); 5] = [
            (&[], PayloadError::Truncated),
            (&[28], PayloadError::Truncated),
            (&[24, 0, 9, 0x67], PayloadError::Truncated),
            (&[24, 0], PayloadError::Truncated),
            (&[25, 0, 0], PayloadError::Unsupported(25)),
        ];
        for (payload, error) in cases {
            assert_eq!(H264Assembler::default().push(payload, &mut Vec::new()), Err(error), "{payload:?}");
            let _ = glance(payload);
        }
    }

    #[test]
    fn annex_b_is_split_at_start_codes_of_either_length() {
        let stream = [0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 1, 0x65, 0, 3];
        let units: Vec<&[u8]> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x68, 2], &[0x65, 0, 3]]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(lengths in proptest::collection::vec((0_usize..4, 1_usize..9000), 1..6)) {
            let nals: Vec<Vec<u8>> =
                lengths.iter().map(|&(kind, length)| nal([0x67, 0x68, 0x65, 0x41][kind], length)).collect();
            let payloads = packetize(&nals);
            prop_assert!(payloads.iter().all(|(payload, _)| payload.len() <= MAX_PAYLOAD));
            let unit = assemble(&payloads).expect("assembled");
            let out: Vec<&[u8]> = nal_units(&unit).collect();
            prop_assert_eq!(out, nals.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        #[test]
        fn no_payload_makes_it_panic(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let (mut assembler, mut unit) = (H264Assembler::default(), Vec::new());
            for payload in &payloads {
                let _ = glance(payload);
                let _ = assembler.push(payload, &mut unit);
            }
            prop_assert!(nal_units(&unit).count() <= unit.len());
        }
    }
}
