//! The right of one process at a time: a locked file, free again when its holder lets go or dies.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use aiclipx_model::files;

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// None where another holds it. The file is made where there is none.
    pub fn try_take(path: &Path) -> io::Result<Option<Lock>> {
        let file = File::create(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether somebody holds it. Who looks holds it for a moment.
    pub fn is_held(path: &Path) -> bool {
        files::open(path).is_ok_and(|file| match file.try_lock_shared() {
            Ok(()) => {
                drop(Lock(file));
                false
            }
            Err(error) => matches!(error, TryLockError::WouldBlock),
        })
    }
}

impl Drop for Lock {
    /// Closing is not enough: a child that was forked meanwhile, and has not got to its program yet, has the file open, too.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_free_once_it_is_dropped_though_a_copy_of_its_file_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!Lock::is_held(&path));
        let lock = Lock::try_take(&path).unwrap().unwrap();
        assert!(Lock::is_held(&path) && Lock::try_take(&path).unwrap().is_none());
        // What a fork leaves in the child.
        let copy = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(!Lock::is_held(&path) && Lock::try_take(&path).unwrap().is_some());
        drop(copy);
    }
}
