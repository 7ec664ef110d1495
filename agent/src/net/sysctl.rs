//! Settings of network namespaces, below /proc/sys/net, also where the container runtime mounts /proc/sys read-only.
//!
//! A runtime does so in every container that is not privileged. The agent has CAP_SYS_ADMIN for other reasons, and a mount
//! namespace of its own: there, and only for `net`, it undoes that. What is below /proc/sys/net is that of the reading
//! thread's network namespace, so this opens nothing that the agent could not reach by entering namespaces anyway.

use std::{fs, io, path::Path, sync::Mutex};

use nix::mount::{MsFlags, mount};

const NET: &str = "/proc/sys/net";

/// One thread at a time: each mount would come on top of the one before.
static MOUNTING: Mutex<()> = Mutex::new(());

/// Sets `net/<setting>` in the calling thread's network namespace.
///
/// # Errors
/// The kernel's; [`io::ErrorKind::NotFound`] when it has no such setting.
pub fn set(setting: &str, value: &str) -> io::Result<()> {
    writable(|| fs::write(Path::new(NET).join(setting), value))
}

/// What `net/<setting>` is in the calling thread's network namespace.
///
/// # Errors
/// As [`set`].
pub fn get(setting: &str) -> io::Result<String> {
    Ok(fs::read_to_string(Path::new(NET).join(setting))?.trim().to_owned())
}

/// Can `net/<setting>` be set? Changes nothing.
///
/// # Errors
/// Why not.
pub fn check(setting: &str) -> io::Result<()> {
    writable(|| fs::OpenOptions::new().write(true).open(Path::new(NET).join(setting)).map(drop))
}

/// Tries again once what was read-only is not.
fn writable(attempt: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match attempt() {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            // A poisoned lock guards nothing but the order.
            let _one_at_a_time = MOUNTING.lock();
            // Another thread may have been here before.
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {}
                done => return done,
            }
            make_writable().map_err(|error| {
                let why = "mounting it writable needs CAP_SYS_ADMIN and no AppArmor profile, or a privileged container";
                io::Error::new(error.kind(), format!("{NET} is read-only; {why}: {error}"))
            })?;
            attempt()
        }
        done => done,
    }
}

fn make_writable() -> io::Result<()> {
    const NONE: Option<&str> = None;
    mount(Some(NET), NET, NONE, MsFlags::MS_BIND, NONE)?;
    mount(NONE, NET, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, NONE)?;
    Ok(())
}
