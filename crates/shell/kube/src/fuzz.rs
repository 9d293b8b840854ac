//! Assertions that hold for any bytes, shared by the fuzz target and unit tests.

use crate::request::parse_der;

/// Whatever DER is sent as a request, what is read of it is in it.
pub fn request(der: &[u8]) {
    let Some(request) = parse_der(der) else {
        return;
    };
    let said = [&request.common_names, &request.organizations, &request.dns_names];
    for part in said.into_iter().flatten().filter(|part| !part.is_empty()) {
        assert!(der.windows(part.len()).any(|window| window == part.as_bytes()));
    }
}
