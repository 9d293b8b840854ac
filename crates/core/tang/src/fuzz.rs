//! Assertions that hold for any bytes, shared by the fuzz targets and unit tests.

use jiff::Timestamp;

use crate::{KeyRing, RecoverError, Tables, route};

/// Whatever is sent to a server with these exchange keys, it is refused for a reason that has a status, or the
/// answer is a point of the same curve, which can be sent again.
pub fn recover(tables: &Tables, names: &[String], bytes: &[u8]) {
    for name in names {
        match tables.recover(name, bytes) {
            Ok(recovery) => {
                let again = tables.recover(name, recovery.text.as_bytes());
                assert!(again.is_ok_and(|again| again.key == recovery.key));
            }
            Err(why) => {
                assert!(RecoverError::ALL.contains(&why));
                assert!(matches!(why.status(), 400 | 403 | 413), "the name is known");
            }
        }
    }
    if let Ok(path) = std::str::from_utf8(bytes) {
        let _ = route(path);
    }
}

/// Whatever a stored ring or a key file holds, what was read from it is written and read again as the same.
pub fn keys(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(ring) = KeyRing::from_secret_json(text) {
        assert_eq!(KeyRing::from_secret_json(&ring.to_secret_json()), Ok(ring));
    }
    let mut ring = KeyRing::default();
    if ring.import([("a.jwk", text)], Timestamp::UNIX_EPOCH).is_ok() {
        let files: Vec<_> = ring.export().collect();
        let files = files.iter().map(|it| (it.name.as_str(), it.text.as_str()));
        let mut again = KeyRing::default();
        assert_eq!(again.import(files, Timestamp::UNIX_EPOCH), Ok(1));
        assert_eq!(again, ring);
    }
}
