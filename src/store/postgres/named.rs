//! Files that the URL names: of bounded length, and those that hold a password for nobody but their owner.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// More than any list of passwords or certificates: the distributions' bundle of all has a quarter of it.
const LARGEST: u64 = 1 << 20;

/// The text of the file that this parameter names.
pub(super) fn read(path: &Path, parameter: &str) -> Result<String, String> {
    let refused = |why: &str| format!("APP_DATABASE_URL: its {parameter} {} can't be read: {why}", path.display());
    let unread = |error: std::io::Error| refused(&error.to_string());
    // Looked at before it is opened: a pipe that nobody writes to would be waited for without end.
    let kind = fs::metadata(path).map_err(unread)?;
    if !kind.is_file() {
        return Err(refused("it is no regular file"));
    }
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text)).map_err(unread)?;
    if text.len() as u64 > LARGEST {
        return Err(refused("it holds more than 1 MiB"));
    }
    Ok(text)
}

/// Whether others than its owner may read it, where PostgreSQL's own programs take no password from a file.
pub(super) fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o044 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_a_folder_and_a_file_without_end_are_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "a:b").unwrap();
        assert_eq!(read(&file, "passfile").as_deref(), Ok("a:b"));
        for path in [Path::new("/dev/zero"), folder.path()] {
            assert!(read(path, "passfile").unwrap_err().ends_with("it is no regular file"));
        }
        File::create(&file).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(read(&file, "sslrootcert").unwrap_err().ends_with("more than 1 MiB"));
    }
}
