//! Assertions that hold for any bytes, shared by the fuzz targets and unit tests.

use crate::{RecoverError, Tables, route};

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
