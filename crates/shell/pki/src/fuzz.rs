//! Assertions that hold for any bytes, shared by the fuzz target and unit tests.

use rcgen::PublicKeyData as _;

use crate::Request;

/// Whatever DER is sent as a request, what is read of it is in it.
pub fn request(der: &[u8]) {
    let Ok(request) = Request::from_der(der) else {
        return;
    };
    let is_in = |part: &[u8]| part.is_empty() || der.windows(part.len()).any(|window| window == part);
    assert!(is_in(request.common_name.as_bytes()) && is_in(request.organization.as_bytes()));
    assert!(request.names.iter().all(|name| is_in(name.as_bytes())));
    assert!(is_in(request.key.der_bytes()));
}
