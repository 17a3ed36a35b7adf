//! Telephone calls of this machine's modem, as ModemManager or oFono report them.
//!
//! There is a call from the moment that it rings or is dialled until it is over. Without either service nothing wakes up: the bus
//! tells when one appears. What a signal says is not kept; it only has the list of calls asked for again, so that nothing that was
//! missed can leave a call behind.

use std::collections::HashMap;

use futures_util::StreamExt;
use futures_util::stream::select_all;
use zbus::message::Type;
use zbus::names::BusName;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant};

use crate::engine::Engine;

/// A service that knows of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    ModemManager,
    Ofono,
}

/// `a{sv}`.
type Properties = HashMap<String, OwnedVariant>;
/// `a{oa{sa{sv}}}`.
type Objects = HashMap<OwnedObjectPath, HashMap<String, Properties>>;
/// `a(oa{sv})`.
type Listed = Vec<(OwnedObjectPath, Properties)>;

const MODEM_MANAGER: &str = "org.freedesktop.ModemManager1";
const OFONO: &str = "org.ofono";
const SERVICES: [Service; 2] = [Service::ModemManager, Service::Ofono];

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::ModemManager => MODEM_MANAGER,
            Self::Ofono => OFONO,
        }
    }

    /// The interfaces whose signals tell that a call or a modem came, changed or went.
    const fn interfaces(self) -> &'static [&'static str] {
        match self {
            Self::ModemManager => &[
                "org.freedesktop.ModemManager1.Modem.Voice",
                "org.freedesktop.ModemManager1.Call",
                "org.freedesktop.DBus.ObjectManager",
            ],
            Self::Ofono => &["org.ofono.VoiceCallManager", "org.ofono.VoiceCall", "org.ofono.Manager"],
        }
    }

    /// Whether it reports a call.
    async fn has_call(self, bus: &Connection) -> zbus::Result<bool> {
        // Asking a service that is not there would start it.
        let is_there = zbus::fdo::DBusProxy::new(bus).await?.name_has_owner(BusName::try_from(self.name())?).await?;
        if !is_there {
            return Ok(false);
        }
        match self {
            Self::ModemManager => modem_manager_has_call(bus).await,
            Self::Ofono => ofono_has_call(bus).await,
        }
    }
}

/// MMCallState: 0 unknown, 1 dialling, 2 ringing out, 3 ringing in, 4 active, 5 held, 6 waiting, 7 terminated.
const fn is_call_of_modem_manager(state: i32) -> bool {
    matches!(state, 1..=6)
}

/// oFono's: active, held, dialing, alerting, incoming, waiting, disconnected.
fn is_call_of_ofono(state: &str) -> bool {
    !matches!(state, "" | "disconnected")
}

async fn modem_manager_has_call(bus: &Connection) -> zbus::Result<bool> {
    let name = Some(MODEM_MANAGER);
    let (root, manager) = ("/org/freedesktop/ModemManager1", Some("org.freedesktop.DBus.ObjectManager"));
    let reply = bus.call_method(name, root, manager, "GetManagedObjects", &()).await?;
    let objects: Objects = reply.body().deserialize()?;
    for interfaces in objects.values() {
        let voice = interfaces.get("org.freedesktop.ModemManager1.Modem.Voice");
        let calls = voice.and_then(|voice| voice.get("Calls")).and_then(|calls| calls.try_clone().ok());
        let calls: Vec<OwnedObjectPath> = calls.and_then(|calls| calls.try_into().ok()).unwrap_or_default();
        for call in calls {
            let state = ("org.freedesktop.ModemManager1.Call", "State");
            // One that ends at this moment is no call any more.
            let Ok(reply) = bus.call_method(name, &call, Some("org.freedesktop.DBus.Properties"), "Get", &state).await
            else {
                continue;
            };
            let state: OwnedVariant = reply.body().deserialize()?;
            if i32::try_from(state).is_ok_and(is_call_of_modem_manager) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

async fn ofono_has_call(bus: &Connection) -> zbus::Result<bool> {
    let reply = bus.call_method(Some(OFONO), "/", Some("org.ofono.Manager"), "GetModems", &()).await?;
    let modems: Listed = reply.body().deserialize()?;
    for (modem, _) in modems {
        // A modem that is off, or makes no calls, has no such interface.
        let Ok(reply) = bus.call_method(Some(OFONO), &modem, Some("org.ofono.VoiceCallManager"), "GetCalls", &()).await
        else {
            continue;
        };
        let calls: Listed = reply.body().deserialize()?;
        let state = |properties: &Properties| {
            properties.get("State").and_then(|state| String::try_from(state.try_clone().ok()?).ok()).unwrap_or_default()
        };
        if calls.iter().any(|(_, properties)| is_call_of_ofono(&state(properties))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells the engine of calls, from now on.
///
/// # Errors
/// The bus does not let signals be received.
pub(super) async fn watch(bus: &Connection, engine: Engine) -> zbus::Result<()> {
    let mut streams = Vec::new();
    for service in SERVICES {
        let appears = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, service.name())
            .build()?;
        let mut rules = vec![appears];
        for interface in service.interfaces() {
            rules.push(
                MatchRule::builder().msg_type(Type::Signal).sender(service.name()).interface(*interface).build()?,
            );
        }
        for rule in rules {
            streams.push(MessageStream::for_match_rule(rule, bus, None).await?);
        }
    }
    let (news, mut is_news) = tokio::sync::watch::channel(());
    // Apart from the questions: their answers come over the connection that waits when nobody takes its signals.
    tokio::spawn(async move {
        let mut signals = select_all(streams);
        while signals.next().await.is_some() && news.send(()).is_ok() {}
    });
    let bus = bus.clone();
    tokio::spawn(async move {
        loop {
            let mut call = false;
            for service in SERVICES {
                call |= service.has_call(&bus).await.unwrap_or_else(|error| {
                    log::warn!("{} does not say whether there is a telephone call: {error}", service.name());
                    false
                });
            }
            if engine.set_call_active(call).await.is_err() || is_news.changed().await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_rings_runs_and_is_over() {
        let states: Vec<i32> = (-1..9).filter(|state| is_call_of_modem_manager(*state)).collect();
        assert_eq!(states, [1, 2, 3, 4, 5, 6]);
        for state in ["active", "held", "dialing", "alerting", "incoming", "waiting"] {
            assert!(is_call_of_ofono(state), "{state}");
        }
        assert!(!is_call_of_ofono("disconnected") && !is_call_of_ofono(""));
    }
}
