#![no_main]
//! What somebody on the LAN announces as a hub.

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use mdns_sd::ServiceInfo;
use zego_protocol::discovery::{SERVICE_TYPE, browse};

fuzz_target!(|told: (&str, &str, Vec<IpAddr>, u16, Vec<(&str, &str)>)| {
    let (name, host, addresses, port, txt) = told;
    if let Ok(service) = ServiceInfo::new(SERVICE_TYPE, name, host, addresses.as_slice(), port, txt.as_slice()) {
        browse::fuzz(&service.as_resolved_service());
    }
    let _ = browse::is_local_name(host);
});
