// SPDX-License-Identifier: GPL-2.0
//! Devices wherever they are: those of a userspace implementation have a
//! socket in a known folder, all others are the kernel's.

use crate::error::{errno_text, warn, Failure, Result};
use crate::model::{Device, DeviceChange};
use crate::refusal;
use crate::{kernel, userspace};

/// Names of all devices, the kernel's first.
pub fn list() -> Result<Vec<Vec<u8>>> {
    let fail = |errno| Failure::new(format!("Unable to list interfaces: {}", errno_text(errno)));
    let mut names = kernel::list().map_err(|refused| fail(refused.errno))?;
    names.extend(userspace::list().map_err(|error| fail(refusal::errno_of(&error)))?);
    Ok(names)
}

/// Reads a device. The failure is told behind `what`.
pub fn get(name: &[u8], what: &str) -> Result<Device> {
    if let Some(connected) = userspace::connect(name) {
        return connected
            .and_then(|stream| userspace::get(name, stream))
            .map_err(|error| Failure::os(what, &error));
    }
    kernel::get(name).map_err(|refused| refusal::of_get(what, name, &refused))
}

/// Applies a change to a device, and prints what its module has to say.
pub fn set(name: &[u8], change: &DeviceChange) -> Result<()> {
    if let Some(credentials) = &change.credentials {
        credentials.check_open()?;
    }
    if let Some(connected) = userspace::connect(name) {
        if change.transit_netns.is_some() || change.credentials.is_some() {
            return Err(refusal::userspace_has_no_transit());
        }
        return connected
            .and_then(|stream| userspace::set(change, stream))
            .map_err(|error| Failure::os("Unable to modify interface", &error));
    }
    let transit = change
        .transit_netns
        .as_ref()
        .map(|netns| netns.find())
        .transpose()?;
    let warnings = kernel::set(name, change, transit.as_ref())
        .map_err(|not_set| refusal::of_set(name, change, transit.as_ref(), &not_set))?;
    for warning in warnings {
        warn(warning);
    }
    Ok(())
}
