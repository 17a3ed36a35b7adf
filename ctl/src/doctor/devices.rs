//! Whether there is a camera, a microphone and a speaker that can be used.

use serde_json::{Map, Value};

use crate::bus::{Object, Objects};
use crate::doctor::Finding;
use crate::value;

/// Where each kind stands in the configuration.
const KINDS: [(&str, &str); 3] =
    [("camera", "[camera] source"), ("microphone", "[microphone] source"), ("speaker", "[speaker] sink")];

/// One finding for each kind of device. `diagnostics` say what the configuration chooses.
pub fn check(objects: &Objects, diagnostics: &Map<String, Value>) -> Vec<Finding> {
    KINDS
        .into_iter()
        .map(|(kind, key)| {
            let devices: Vec<&Object> = objects.of("Device").filter(|device| device.text("kind") == kind).collect();
            of_kind(kind, key, &devices, &value::text(diagnostics, kind))
        })
        .collect()
}

fn of_kind(kind: &'static str, key: &str, devices: &[&Object], configured: &str) -> Finding {
    if configured == "none" {
        return Finding::fine(kind, format!("The configuration says none, so there is no {kind}."));
    }
    let Some(device) = devices.iter().find(|device| value::flag(&device.fields, "default")) else {
        let message = format!("There is no {kind} that zegod may use.");
        let advice = format!(
            "connect one, and let the daemon's user into the groups audio and video; or choose one by {key} in \
             /etc/zegod/zegod.toml"
        );
        return Finding::problem(kind, message, advice).with_code(1_006_002);
    };
    let (id, name, owner) = (device.text("device_id"), device.text("name"), device.text("busy_owner"));
    let called = if name == id { id.clone() } else { format!("{name} ({id})") };
    match device.text("state").as_str() {
        "busy" => {
            let owner = if owner.is_empty() { "another program" } else { &owner };
            let message = format!("The {kind} {called} is used by {owner}.");
            Finding::problem(kind, message, "end that program, or choose another device").with_code(1_006_005)
        }
        "unplugged" => {
            let message = format!("The {kind} {called} is not there.");
            let advice = format!("plug it in, or choose another one by {key} in /etc/zegod/zegod.toml");
            Finding::problem(kind, message, advice).with_code(1_006_006)
        }
        _ if value::flag(&device.fields, "muted") => {
            Finding::warning(kind, format!("The {kind} {called} is muted."), "set its property Muted to false")
        }
        _ if device.text("volume") == "0" => {
            Finding::warning(kind, format!("The volume of the {kind} {called} is 0."), "set its property Volume")
        }
        _ => Finding::fine(kind, format!("The {kind} is {called}.")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::Verdict;

    fn camera(fields: Value) -> Object {
        let Value::Object(mut fields) = fields else { panic!("an object is needed") };
        for (key, value) in [("kind", json!("camera")), ("default", json!(true)), ("name", json!("C270"))] {
            fields.entry(key).or_insert(value);
        }
        Object { kind: "Device".to_string(), path: "/org/zegod1/device/1".to_string(), fields }
    }

    fn found(fields: Value) -> Finding {
        of_kind("camera", "[camera] source", &[&camera(fields)], "auto")
    }

    #[test]
    fn each_trouble_of_a_device_is_named() {
        let id = "v4l2:usb-C270";
        let busy = found(json!({"device_id": id, "state": "busy", "busy_owner": "cheese (4711)"}));
        assert_eq!((busy.verdict, busy.code), (Verdict::Problem, Some(1_006_005)));
        assert!(busy.message.contains("cheese (4711)") && busy.message.contains(id), "{busy:?}");
        let away = found(json!({"device_id": id, "state": "unplugged"}));
        assert_eq!((away.verdict, away.code), (Verdict::Problem, Some(1_006_006)));
        assert_eq!(found(json!({"device_id": id, "state": "in_use"})).verdict, Verdict::Fine);
        let muted = found(json!({"device_id": id, "state": "available", "muted": true}));
        assert_eq!(muted.verdict, Verdict::Warning);
        let none = of_kind("camera", "[camera] source", &[], "auto");
        assert_eq!((none.verdict, none.code), (Verdict::Problem, Some(1_006_002)));
        assert_eq!(of_kind("camera", "[camera] source", &[], "none").verdict, Verdict::Fine, "that was chosen");
    }
}
