// SPDX-License-Identifier: GPL-2.0
//! Reading small files that somebody else may have put there, such as the
//! owner of a container: a pipe would wait, a device would never end.

use rustix::fs::{fstat, openat, FileType, Mode, OFlags, CWD};
use std::io::{self, Read};

/// More than any file of this kind has.
const LARGEST: u64 = 64 << 10;

/// Reads a regular file.
pub fn read(path: &str) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = openat(CWD, path, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not a regular file",
        ));
    }
    let mut text = Vec::new();
    let read = std::fs::File::from(fd)
        .take(LARGEST + 1)
        .read_to_end(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > LARGEST) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is too large",
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_read() {
        assert!(read("/dev/zero").is_err());
        assert!(read("/proc").is_err());
        assert!(read("/nonexistent").is_err());
        assert!(!read("/proc/self/status").unwrap().is_empty());
    }

    #[test]
    fn sizes_are_limited() {
        let path = std::env::temp_dir().join(format!("wg-rootless-{}", std::process::id()));
        std::fs::write(&path, vec![b'x'; 64 << 10]).unwrap();
        let name = path.to_str().unwrap();
        assert_eq!(read(name).unwrap().len(), 64 << 10);
        std::fs::write(&path, vec![b'x'; (64 << 10) + 1]).unwrap();
        assert!(read(name).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
