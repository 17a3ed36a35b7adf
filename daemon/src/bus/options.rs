//! `a{sv}` arguments, taken strictly: an unknown key or a value of another type is refused, and named.

use std::collections::HashMap;

use zbus::{OwnedFd, OwnedVariant};

use crate::engine::EngineError;

/// The options of one call.
pub(super) struct Options {
    call: &'static str,
    values: HashMap<String, OwnedVariant>,
    known: Vec<&'static str>,
}

/// A type that an option can have.
pub(super) trait OptionValue: Sized {
    /// Its D-Bus signature.
    const SIGNATURE: &'static str;
    /// Reads it; nothing when the value has another type.
    fn read(value: OwnedVariant) -> Option<Self>;
}

macro_rules! option_value {
    ($($type:ty, $signature:literal;)+) => {$(
        impl OptionValue for $type {
            const SIGNATURE: &'static str = $signature;
            fn read(value: OwnedVariant) -> Option<Self> {
                Self::try_from(value).ok()
            }
        }
    )+};
}

option_value! {
    bool, "b";
    i32, "i";
    u32, "u";
    u64, "t";
    String, "s";
}

impl OptionValue for OwnedFd {
    const SIGNATURE: &'static str = "h";

    fn read(value: OwnedVariant) -> Option<Self> {
        zbus::Fd::try_from(value).ok().map(Self::from)
    }
}

impl Options {
    /// The options of a call.
    pub(super) const fn new(call: &'static str, values: HashMap<String, OwnedVariant>) -> Self {
        Self { call, values, known: Vec::new() }
    }

    /// Takes one option, if it was given.
    pub(super) fn take<T: OptionValue>(&mut self, key: &'static str) -> Result<Option<T>, EngineError> {
        self.known.push(key);
        let Some(value) = self.values.remove(key) else { return Ok(None) };
        let wrong = || {
            let (call, signature) = (self.call, T::SIGNATURE);
            EngineError::argument(&format!("{call}: '{key}' has the wrong type; give a value of type '{signature}'"))
        };
        T::read(value).map(Some).ok_or_else(wrong)
    }

    /// Refuses what is left.
    pub(super) fn finish(self) -> Result<(), EngineError> {
        let Some(unknown) = self.values.keys().min() else { return Ok(()) };
        let (call, unknown) = (self.call, unknown.escape_debug());
        let known = match self.known.join(", ") {
            known if known.is_empty() => "there are none".to_owned(),
            known => format!("use one of {known}"),
        };
        Err(EngineError::argument(&format!("{call}: the option '{unknown}' does not exist; {known}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zbus::Variant;

    fn any_value() -> impl Strategy<Value = Variant<'static>> {
        prop_oneof![
            any::<bool>().prop_map(Variant::from),
            any::<u8>().prop_map(Variant::from),
            any::<i32>().prop_map(Variant::from),
            any::<u32>().prop_map(Variant::from),
            any::<i64>().prop_map(Variant::from),
            any::<f64>().prop_map(Variant::from),
            ".{0,20}".prop_map(Variant::from),
            proptest::collection::vec(any::<u32>(), 0..4).prop_map(Variant::from),
        ]
    }

    proptest! {
        /// Whatever is given: a key is taken if its type is right, and refused otherwise; nothing is passed over in silence.
        #[test]
        fn nothing_is_taken_for_what_it_is_not(
            given in proptest::collection::hash_map("(channel|token|wait|[a-z]{1,8})", any_value(), 0..5),
        ) {
            let right = given.iter().all(|(key, value)| match key.as_str() {
                "channel" => value.value_signature() == "i",
                "token" => value.value_signature() == "s",
                "wait" => value.value_signature() == "b",
                _ => false,
            });
            let own = |value: Variant<'static>| OwnedVariant::try_from(value).unwrap();
            let values = given.into_iter().map(|(key, value)| (key, own(value))).collect();
            let mut some = Options::new("LoginRoom", values);
            let taken = some.take::<i32>("channel").is_ok()
                && some.take::<String>("token").is_ok()
                && some.take::<bool>("wait").is_ok()
                && some.finish().is_ok();
            prop_assert_eq!(taken, right);
        }
    }

    fn options(values: &[(&str, Variant<'static>)]) -> Options {
        let own = |value: &Variant<'static>| OwnedVariant::try_from(value.try_clone().unwrap()).unwrap();
        Options::new("LoginRoom", values.iter().map(|(key, value)| ((*key).to_owned(), own(value))).collect())
    }

    #[test]
    fn known_options_are_taken() {
        let mut some = options(&[("token", "abc".into()), ("wait", false.into()), ("view", 7_u64.into())]);
        assert_eq!(some.take::<String>("token").unwrap().as_deref(), Some("abc"));
        assert_eq!(some.take::<bool>("wait").unwrap(), Some(false));
        assert_eq!(some.take::<u64>("view").unwrap(), Some(7));
        assert_eq!(some.take::<String>("server").unwrap(), None);
        assert!(some.finish().is_ok());
    }

    #[test]
    fn an_unknown_option_is_named() {
        let mut some = options(&[("tokn", "abc".into())]);
        assert_eq!(some.take::<String>("token").unwrap(), None);
        let error = some.finish().unwrap_err();
        assert_eq!(error.code, 1_000_017);
        assert!(error.message.contains("'tokn'") && error.message.contains("token"), "{error}");
        assert!(error.message.ends_with(" [1000017]"), "{error}");
    }

    #[test]
    fn a_value_of_another_type_is_named() {
        for value in [Variant::from(1_u32), Variant::from("1"), Variant::from(1_i64), Variant::from(true)] {
            let mut some = options(&[("channel", value)]);
            let error = some.take::<i32>("channel").unwrap_err();
            assert!(error.message.contains("'channel'") && error.message.contains("'i'"), "{error}");
        }
    }
}
