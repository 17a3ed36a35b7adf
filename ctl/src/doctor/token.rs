//! Whether a token is still good, and for whom it is.

use zego_protocol::token;

use crate::bus::Objects;
use crate::doctor::Finding;
use crate::doctor::server::Visit;
use crate::value;

/// A token that ends so soon is worth a word, seconds.
const SOON_S: u64 = 300;

/// What a token says of itself, before a server is asked. Nothing is proven: only LiveKit's can be read without the secret.
pub fn check(visit: &Visit, now: u64) -> Finding {
    let make = "make one with `zegoctl token`, or ask whoever runs the rooms";
    if visit.token.is_empty() {
        let advice = "give --token (or ZEGO_TOKEN), --user and --room to have one looked at";
        return Finding::skipped("token", "There is no token to look at.", advice);
    }
    let Some(expires) = token::peek_expiry(&visit.token) else {
        return Finding::problem("token", "The token is malformed.", make).with_code(1_002_075);
    };
    if expires != 0 && expires < now {
        let message = format!("The token expired {} s ago.", now - expires);
        return Finding::problem("token", message, make).with_code(1_002_078);
    }
    let claims = token::peek(&visit.token);
    if let Some(claims) = &claims {
        let user = if visit.user.is_empty() { &claims.user_id } else { &visit.user };
        let room = if visit.room.is_empty() { claims.room_id.clone().unwrap_or_default() } else { visit.room.clone() };
        if let Err(error) = claims.allow_login(user, &room) {
            let whose = format!("{error}; it is for user '{}'.", claims.user_id);
            return Finding::problem("token", whose, make).with_code(error.code());
        }
    }
    let whose = match claims {
        Some(claims) => format!("The token is for user '{}'", claims.user_id),
        None => "The token cannot be read without its secret".to_string(),
    };
    match expires {
        0 => Finding::fine("token", format!("{whose}; it never expires.")),
        end if end - now < SOON_S => {
            Finding::warning("token", format!("{whose}; it expires in {} s.", end - now), "renew it")
        }
        end => Finding::fine("token", format!("{whose}; it is good for {} s more.", end - now)),
    }
}

/// Whether the tokens of the rooms that are logged in are still good.
pub fn check_rooms(objects: &Objects, now: u64) -> Vec<Finding> {
    let rooms = objects.of("Room").filter_map(|room| {
        let (id, expires) =
            (room.text("room_id"), value::text(&room.fields, "token_expires_at").parse().unwrap_or(0_u64));
        let advice = "give the room a new one with RenewToken, or log in again";
        match expires {
            0 => None,
            end if end < now => {
                let message = format!("The token of room {id} expired {} s ago.", now - end);
                Some(Finding::problem("token", message, advice).with_code(1_002_078))
            }
            end if end - now < SOON_S => {
                let message = format!("The token of room {id} expires in {} s.", end - now);
                Some(Finding::warning("token", message, advice))
            }
            _ => None,
        }
    });
    rooms.collect()
}

#[cfg(test)]
mod tests {
    use zego_protocol::token::{TokenRequest, generate_livekit, generate_token04};

    use super::*;
    use crate::doctor::Verdict;

    const NOW: u64 = 2_000_000_000;

    fn request() -> TokenRequest {
        let secret = "fa94dd0f974cf2e293728a526b028271";
        TokenRequest { room_id: Some("lobby".into()), ttl_s: 3600, ..TokenRequest::new("42", secret, "door") }
    }

    fn visit(token: &str, user: &str, room: &str) -> Visit {
        Visit { token: token.into(), user: user.into(), room: room.into() }
    }

    #[test]
    fn a_token_says_when_it_ends_and_whose_it_is() {
        let livekit = generate_livekit(&request(), NOW).unwrap();
        let token04 = generate_token04(&request(), NOW).unwrap();
        for (visit, now, verdict, code) in [
            (visit("", "door", "lobby"), NOW, Verdict::Skipped, None),
            (visit("nonsense", "door", "lobby"), NOW, Verdict::Problem, Some(1_002_075)),
            (visit(&livekit, "door", "lobby"), NOW, Verdict::Fine, None),
            (visit(&livekit, "", ""), NOW, Verdict::Fine, None),
            (visit(&livekit, "desk", "lobby"), NOW, Verdict::Problem, Some(1_002_077)),
            (visit(&livekit, "door", "cellar"), NOW, Verdict::Problem, Some(1_002_033)),
            (visit(&livekit, "door", "lobby"), NOW + 3500, Verdict::Warning, None),
            (visit(&livekit, "door", "lobby"), NOW + 3700, Verdict::Problem, Some(1_002_078)),
            (visit(&token04, "desk", "lobby"), NOW, Verdict::Fine, None),
            (visit(&token04, "door", "lobby"), NOW + 3700, Verdict::Problem, Some(1_002_078)),
        ] {
            let finding = check(&visit, now);
            assert_eq!((finding.verdict, finding.code), (verdict, code), "{finding:?}");
            assert!(!finding.message.contains(&livekit[..20]), "a token is not repeated");
        }
    }
}
