//! Which records of a connection that is up OpenSSL may see.

/// Bytes of a record's header: type, version, epoch, number and length (RFC 6347 section 4.1).
const HEADER: usize = 13;
/// DTLS 1.2.
const VERSION: [u8; 2] = [254, 253];
/// The one that the handshake leads to; there is no other handshake.
const EPOCH: [u8; 2] = [0, 1];
/// Bytes that encryption adds: AES-GCM's explicit nonce and tag (RFC 5288 section 3).
const SEAL: usize = 24;
/// Most bytes in a record (RFC 5246 section 6.2.1).
const CONTENT: usize = 1 << 14;

/// The records of a datagram that may be authentic, each with its header.
///
/// OpenSSL 3.0 drops what is not, as RFC 6347 (section 4.1.2.7) has it, but for what is too short to have a tag, by which it ends the
/// connection: so could whoever sends under the client's address. And where it dislikes a header it takes what follows for another.
pub fn sealed(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = datagram.get(11..HEADER)?;
        let end = HEADER + usize::from(u16::from_be_bytes([length[0], length[1]]));
        let (record, rest) = datagram.split_at_checked(end)?;
        datagram = rest;
        Some(record)
    })
    .filter(|record| record[1..3] == VERSION && record[3..5] == EPOCH)
    .filter(|record| (SEAL..=SEAL + CONTENT).contains(&(record.len() - HEADER)))
}

#[cfg(test)]
mod tests {
    use super::sealed;

    fn record(version: u8, epoch: u8, length: u16) -> Vec<u8> {
        let mut record = vec![23, 254, version, 0, epoch, 0, 0, 0, 0, 0, 1];
        record.extend(length.to_be_bytes());
        record.extend(std::iter::repeat_n(7, length.into()));
        record
    }

    #[test]
    fn only_whole_records_that_may_be_authentic_are_seen() {
        let good = [record(253, 1, 24), record(253, 1, 16_408)];
        let bad =
            [record(253, 1, 23), record(253, 1, 16_409), record(253, 0, 30), record(253, 2, 30), record(255, 1, 30)];
        let all = [&bad[0], &good[0], &bad[1], &bad[2], &bad[3], &bad[4], &good[1]].map(Vec::as_slice).concat();
        assert_eq!(sealed(&all).collect::<Vec<_>>(), [&good[0][..], &good[1][..]]);
        assert_eq!(sealed(&all[..all.len() - 1]).collect::<Vec<_>>(), [&good[0][..]], "the last is torn");
        assert_eq!(sealed(&all[..12]).count() + sealed(&[]).count(), 0);
    }
}
