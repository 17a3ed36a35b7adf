//! Whether this machine's clock is right. Tokens are good for a time: with a wrong clock they are refused.

use crate::doctor::Finding;

/// When this version was made, Unix seconds (1 January 2026): no clock that is right shows less.
const EARLIEST: u64 = 1_767_225_600;
/// How far a clock may be off: the leeway that servers give a token.
const TOLERANCE_S: u64 = 60;
const ADVICE: &str = "set the clock; `timedatectl set-ntp true` keeps it right";

/// Compares this machine's clock with a server's, where that told its time. All in Unix seconds.
pub fn check(now: u64, server: Option<u64>) -> Finding {
    if now < EARLIEST {
        let message = "The clock of this machine shows a time before zegod was made, so every token looks wrong.";
        return Finding::problem("clock", message, ADVICE);
    }
    let Some(server) = server else {
        return Finding::fine("clock", "The clock shows a possible time; no server was there to compare it with.");
    };
    let off = now.abs_diff(server);
    if off <= TOLERANCE_S {
        return Finding::fine("clock", "The clock agrees with the server's.");
    }
    let direction = if now < server { "behind" } else { "ahead of" };
    let message = format!("The clock of this machine is {off} s {direction} the server's.");
    Finding::problem("clock", message, ADVICE)
}

/// Reads the date of an HTTP header, `Wed, 25 Nov 2026 15:42:54 GMT` (RFC 9110, section 5.6.7), as Unix seconds.
pub fn parse_http_date(text: &str) -> Option<u64> {
    let (_, rest) = text.trim().split_once(", ")?;
    let mut words = rest.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = words.next()?;
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = names.iter().position(|name| *name == month)?;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut time = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days_before: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    let days = days_before + lengths[..month].iter().sum::<u64>() + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doctor::Verdict;

    proptest! {
        #[test]
        fn a_date_is_within_eight_thousand_years_or_none(
            text in "([A-Z][a-z]{2}, )?[0-9]{0,20} (Jan|Feb|Dec|x)? ?[0-9]{0,20} [0-9]{0,20}:[0-9]{0,20}:[0-9]{0,20}( GMT)?",
        ) {
            if let Some(seconds) = parse_http_date(&text) {
                prop_assert!(seconds < 8_031 * 366 * 86_400, "{text}: {seconds}");
            }
        }
    }

    #[test]
    fn dates_of_http_are_read() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Wed, 25 Nov 2026 15:42:54 GMT", 1_795_621_374),
        ] {
            assert_eq!(parse_http_date(text), Some(seconds), "{text}");
        }
        for wrong in
            ["", "now", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08"]
        {
            assert_eq!(parse_http_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_clock_may_be_a_minute_off() {
        let server = EARLIEST + 10_000;
        for (now, verdict, word) in [
            (server + 60, Verdict::Fine, "agrees"),
            (server + 61, Verdict::Problem, "61 s ahead of"),
            (server - 3600, Verdict::Problem, "3600 s behind"),
        ] {
            let finding = check(now, Some(server));
            assert!(finding.verdict == verdict && finding.message.contains(word), "{finding:?}");
        }
        assert_eq!(check(server, None).verdict, Verdict::Fine);
        assert_eq!(check(4711, None).verdict, Verdict::Problem, "a clock that was never set");
    }
}
