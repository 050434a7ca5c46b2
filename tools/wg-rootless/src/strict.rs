// SPDX-License-Identifier: GPL-2.0
//! Hides the sockets in files by which programs outside can be asked to do
//! something, such as D-Bus. It is no sandbox: what is in the user's home stays.

use crate::mounts::{mount_over, Memory};
use rustix::fs::{mkdirat, Mode, CWD};
use std::fs;
use std::io;
use std::path::Path;
use wg::error::{Failure, Result};

/// Covers the folders where such sockets are.
pub fn hide_sockets() -> Result<()> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default();
    for (path, mode) in [("/run", "755"), ("/var/run", "755"), ("/tmp", "1777")] {
        let is_folder = fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
        if !is_folder {
            continue;
        }
        Memory::with_mode(mode)
            .and_then(|memory| mount_over(memory.as_fd(), Path::new(path)))
            .map_err(|error| Failure::os(format!("Unable to mount over {path}"), &error))?;
    }
    // Programs of hers count on it.
    let runtime = Path::new(&runtime);
    if runtime.starts_with("/run") || runtime.starts_with("/tmp") {
        make_private(runtime).map_err(|error| {
            Failure::os(format!("Unable to make {}", runtime.display()), &error)
        })?;
    }
    Ok(())
}

fn make_private(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match mkdirat(CWD, path, Mode::RWXU) {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        done => Ok(done?),
    }
}
