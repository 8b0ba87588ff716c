//! Makes the entries of folders durable.
//!
//! An fsync of a file makes its contents durable, but not its name, which is an entry of its folder. POSIX guarantees
//! that the name survives a power failure only after an fsync of the folder. The entry of a folder is in its parent.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Syncs a folder, so that the names in it survive a power failure.
///
/// A folder that cannot be synced is not an error: some file systems refuse it (EINVAL), and a folder of mode -wx
/// cannot be opened. Nothing more can be done there.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(why) if cannot_be_synced(why.kind()) => Ok(()),
        synced => synced,
    }
}

fn cannot_be_synced(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

/// Syncs a folder and the ones above it in the same file system.
///
/// This makes the entries of new folders durable, whichever process created them.
#[cfg(unix)]
pub(crate) fn sync_with_parents(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let device = std::fs::metadata(folder)?.dev();
    for folder in folder.ancestors() {
        if !std::fs::metadata(folder).is_ok_and(|found| found.dev() == device) {
            break;
        }
        sync(folder)?;
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn sync_with_parents(folder: &Path) -> io::Result<()> {
    sync(folder)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_synced_is_no_error_and_one_that_is_missing_is() {
        let refused = File::open("/proc").and_then(|folder| folder.sync_all()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL), "/proc is a file system that cannot sync");
        sync(Path::new("/proc")).unwrap();
        assert_eq!(sync(Path::new("/proc/none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
