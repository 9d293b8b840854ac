use std::os::unix::fs::symlink;

use super::*;

fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

#[test]
fn a_file_is_replaced_and_only_its_owner_may_read_it() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    assert!(read_sealed(&path)?.is_none());
    for content in [&b"one"[..], b"two", b""] {
        write_sealed(&path, content)?;
        assert_eq!(read_sealed(&path)?.as_deref().map(Vec::as_slice), Some(content));
        assert_eq!(mode(&path)?, 0o600);
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 1);
    Ok(())
}

#[test]
fn what_a_power_cut_left_is_neither_read_nor_followed() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    let other = folder.path().join("other");
    fs::write(&other, "other")?;
    symlink(&other, folder.path().join(".keys.new"))?;
    write_sealed(&path, b"keys")?;
    assert_eq!(
        read_sealed(&path)?.as_deref().map(Vec::as_slice),
        Some(&b"keys"[..])
    );
    assert_eq!(fs::read_to_string(&other)?, "other");
    Ok(())
}

#[test]
fn a_file_that_others_may_read_is_refused() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    write_sealed(&path, b"keys")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
    assert!(matches!(
        read_sealed(&path),
        Err(FileError::Exposed { mode: 0o640, .. })
    ));
    Ok(())
}

#[test]
fn a_folder_or_no_folder_is_an_error() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    assert!(matches!(read_sealed(folder.path()), Err(FileError::Read { .. })));
    assert!(matches!(
        write_sealed(folder.path(), b""),
        Err(FileError::Write { .. })
    ));
    let nowhere = folder.path().join("no/where");
    assert!(matches!(
        write_sealed(&nowhere, b""),
        Err(FileError::Write { .. })
    ));
    assert!(matches!(
        write_sealed(Path::new("/"), b""),
        Err(FileError::Write { .. })
    ));
    Ok(())
}

#[test]
fn a_file_is_read_no_further_than_the_format_goes() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys");
    write_sealed(&path, &vec![0; MAX_SEALED * 2])?;
    let read = read_sealed(&path)?.unwrap_or_default();
    assert_eq!(crate::mode_of(&read), Err(crate::FormatError::TooLarge));
    Ok(())
}
