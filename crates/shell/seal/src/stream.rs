//! Age files of any size, piece by piece: for what is too large to be held in memory.

use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};

use age::{
    Decryptor, Encryptor,
    stream::{StreamReader, StreamWriter},
};

use crate::{BackupError, Identities, Recipient, RestoreError, age_file};

/// Encrypts what is written to it. Nothing that was written is whole before [`finish`](Self::finish).
pub struct Sealed<W: Write>(StreamWriter<W>);

/// Decrypts what is read from it. A file that was cut off or changed ends in an error.
pub struct Opened<R: Read>(StreamReader<R>);

/// Begins an age file to everyone of `recipients`, which any one of them opens.
pub fn seal_stream<W: Write>(recipients: &[Recipient], to: W) -> Result<Sealed<W>, BackupError> {
    if recipients.is_empty() {
        return Err(BackupError::Nobody);
    }
    let recipients = recipients.iter().map(|own| &own.0 as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients).map_err(BackupError::Recipients)?;
    Ok(Sealed(encryptor.wrap_output(to)?))
}

/// Opens an age file.
pub fn open_stream<R: BufRead>(from: R, with: &Identities) -> Result<Opened<R>, RestoreError> {
    let identities = with.0.iter().map(|own| own as &dyn age::Identity);
    let opened = Decryptor::new_buffered(from).and_then(|file| file.decrypt(identities));
    opened.map(Opened).map_err(|error| {
        if age_file::is_wrong_key(&error) {
            RestoreError::NotForUs
        } else {
            RestoreError::Read(error)
        }
    })
}

impl<W: Write> Sealed<W> {
    /// Writes the rest, and gives back what it was written to.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl<R: Read + Seek> Seek for Opened<R> {
    /// Positions are those of what is in it.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl<W: Write> std::fmt::Debug for Sealed<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}

impl<R: Read> std::fmt::Debug for Opened<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(bytes: &[u8], for_whom: &Identities) -> Vec<u8> {
        let mut writer = seal_stream(&for_whom.recipients(), Vec::new()).unwrap();
        for piece in bytes.chunks(1000) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn what_was_sealed_is_opened_by_the_same_secret_and_no_other() {
        let own = Identities::derived(&[7; 32], "snapshots");
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let file = sealed(&bytes, &own);
        assert!(!file.windows(8).any(|window| window == &bytes[80..88]));
        let mut again = Vec::new();
        let with = Identities::derived(&[7; 32], "snapshots");
        open_stream(file.as_slice(), &with)
            .unwrap()
            .read_to_end(&mut again)
            .unwrap();
        assert_eq!(again, bytes);
        let mut opened = open_stream(io::Cursor::new(&file), &with).unwrap();
        assert_eq!(opened.seek(SeekFrom::End(0)).unwrap(), bytes.len() as u64);
        opened.seek(SeekFrom::Start(400_000)).unwrap();
        again.clear();
        opened.read_to_end(&mut again).unwrap();
        assert_eq!(again, bytes[400_000..]);
        for other in [
            Identities::derived(&[8; 32], "snapshots"),
            Identities::derived(&[7; 32], "others"),
        ] {
            assert!(matches!(
                open_stream(file.as_slice(), &other),
                Err(RestoreError::NotForUs)
            ));
        }
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_no_file() {
        let own = Identities::derived(&[7; 32], "snapshots");
        let file = sealed(&vec![5; 200_000], &own);
        let read = |file: &[u8]| open_stream(file, &own).unwrap().read_to_end(&mut Vec::new());
        assert!(read(&file).is_ok());
        assert!(read(&file[..file.len() - 1]).is_err());
        let mut changed = file.clone();
        changed[file.len() / 2] ^= 1;
        assert!(read(&changed).is_err());
    }
}
