//! Files that people name: read only where they are regular, and replaced only where a file or nothing lies.
//!
//! Reading a pipe without a writer would wait without end, and a device renamed over is gone.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::failure::Finding;

/// Opens a regular file for reading, by whatever link; anything else is an error at once.
pub fn open(path: &Path) -> io::Result<File> {
    let file = without_waiting().read(true).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// What people write has less; a larger file is not read, so that no sparse one takes all memory.
const LARGEST: u64 = 16 << 20;

/// The whole of a regular file that is not larger than what people write.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)? as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// The whole of a regular file, as text.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// That a file can't be read, as a finding: by its own name, for that of its folder would send somebody through all of it.
pub fn unread(file: &Path, error: &io::Error) -> Finding {
    let remedy = "let whoever runs this read it (chmod, chown), or remove it".to_owned();
    Finding { file: file.to_owned(), line: 0, what: format!("it can't be read: {error}"), remedy }
}

/// How what is being written is called until it stands; what a command that was killed leaves begins so.
pub const ASIDE: &str = ".aiclipx-new-";

/// Writes a file under this name, by whatever link: whole or not at all where a regular file or nothing is there, for the old
/// one goes when the new one stands, on the disk. What else is there (a pipe that is being read, a device) is written to.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let there = match fs::symlink_metadata(path) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        // A pipe must have its reader by now; the one that is then written through may wait for it.
        let _held = without_waiting().write(true).create(true).open(path)?;
        return through(&OpenOptions::new().write(true).open(path)?, write);
    }
    let folder = folder_of(path);
    // Others may read it as far as the umask lets them, or as they could read the old one.
    let as_usual = Permissions::from_mode(0o666);
    let mut aside = tempfile::Builder::new().prefix(ASIDE).permissions(as_usual).tempfile_in(folder)?;
    if let Some(old) = there {
        aside.as_file().set_permissions(old.permissions())?;
    }
    through(aside.as_file_mut(), write)?;
    aside.as_file().sync_all()?;
    aside.persist(path)?;
    File::open(folder)?.sync_all()
}

/// A place that will be written to. A pipe stays open as long as this is kept: who reads it would take its closing for the end.
#[derive(Debug)]
pub struct Reserved(#[expect(dead_code, reason = "it is kept open")] Option<File>);

/// What [`replace`] would fail at, as far as that is known before there is anything to write: for who works long for it. A pipe
/// must have its reader by now.
pub fn reserve(named: &Path) -> io::Result<Reserved> {
    match fs::metadata(named) {
        Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => {
            let is_pipe = there.file_type().is_fifo();
            let mut open = without_waiting().write(true).open(named).map_err(|error| {
                let nobody_reads = is_pipe && Errno::from_io_error(&error) == Some(Errno::NXIO);
                if nobody_reads { io::Error::other("it is a pipe that nobody reads") } else { error }
            })?;
            // A device that takes nothing says so to nothing, too.
            let _ = open.write(&[])?;
            return Ok(Reserved(Some(open)));
        }
        // Whoever has it open would go on writing to a file without a name.
        Ok(_) if is_descriptor(named) => {
            let why = "it is a descriptor, and what it leads to is a file: name that file, or another";
            return Err(io::Error::other(why));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // A folder's name, of none that is there.
        Err(_) if named.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        _ => {}
    }
    tempfile::tempfile_in(folder_of(&destination(named)?)).map(|_| Reserved(None))
}

/// Whether a path leads to what a process has open, as `/dev/stdout` does, and not to a place of a name.
fn is_descriptor(path: &Path) -> bool {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if fs::canonicalize(folder_of(&path)).is_ok_and(|folder| folder.starts_with("/proc") && folder.ends_with("fd"))
        {
            return true;
        }
        let Ok(next) = fs::read_link(&path) else { return false };
        path = folder_of(&path).join(next);
    }
    false
}

/// As many as the system follows.
const MOST_LINKS: usize = 40;

/// Whether two paths name one file, be it there yet or not.
pub fn are_one(one: &Path, other: &Path) -> bool {
    one == other || destination(one).is_ok_and(|one| destination(other).is_ok_and(|other| one == other))
}

/// Whether a file is, or would be, below a folder.
pub fn is_in(file: &Path, folder: &Path) -> bool {
    destination(file).is_ok_and(|file| fs::canonicalize(folder).is_ok_and(|folder| file.starts_with(folder)))
}

/// Where a path leads, by whatever links, be something there or not.
fn destination(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if let Ok(there) = fs::canonicalize(&path) {
            return Ok(there);
        }
        let Ok(next) = fs::read_link(&path) else {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            return Ok(fs::canonicalize(folder_of(&path))?.join(name));
        };
        path = folder_of(&path).join(next);
    }
    Err(Errno::LOOP.into())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn through(file: &File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    out.flush()
}

/// To open what may be a pipe. For a regular file it means nothing.
fn without_waiting() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag of open(2) is an int"));
    options
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    fn fifo(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn written(path: &Path) -> io::Result<()> {
        replace(path, |out| out.write_all(b"new"))
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        fifo(&pipe);
        for other in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            assert_eq!(open(other).unwrap_err().to_string(), "it is not a regular file", "{}", other.display());
        }
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        File::create(&file).unwrap().set_len(20 << 30).unwrap();
        assert_eq!(read(&file).unwrap_err().to_string(), "it is larger than 16 MiB");
        fs::write(&file, "text").unwrap();
        symlink("file", &link).unwrap();
        assert_eq!(read_to_string(&link).unwrap(), "text");
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all_and_stays_readable_for_whom_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        written(&file).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let half = replace(&file, |out| out.write_all(b"half").and_then(|()| Err(io::Error::other("no more"))));
        assert_eq!(half.unwrap_err().to_string(), "no more");
        assert_eq!(read_to_string(&file).unwrap(), "new");
        replace(&file, |out| out.write_all(b"newer")).unwrap();
        assert_eq!(read_to_string(&file).unwrap(), "newer");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_place_behind_a_link_is_looked_at_where_it_leads_be_something_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("bundle")).unwrap();
        for (name, leads_to) in [
            ("astray", "no/such"),
            ("inside", "bundle/later"),
            ("again", "inside"),
            ("round", "round"),
            ("beside", "later"),
        ] {
            symlink(leads_to, at(name)).unwrap();
        }
        assert_eq!(reserve(&at("astray")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(reserve(&at("round")).unwrap_err().raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        reserve(&at("inside")).unwrap();
        assert!(are_one(&at("inside"), &at("bundle/../bundle/later")) && are_one(&at("again"), &at("inside")));
        assert!(!are_one(&at("inside"), &at("beside")));
        for (name, is_inside) in
            [("inside", true), ("again", true), ("bundle/SHA256SUMS", true), ("beside", false), ("bundle2", false)]
        {
            assert_eq!(is_in(&at(name), &at("bundle")), is_inside, "{name}");
        }
    }

    #[test]
    fn a_link_stays_one_and_its_target_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link, dangling) =
            (folder.path().join("target"), folder.path().join("link"), folder.path().join("dangling"));
        fs::write(&target, "old").unwrap();
        symlink("target", &link).unwrap();
        symlink("later", &dangling).unwrap();
        for link in [link, dangling] {
            written(&link).unwrap();
            assert!(link.symlink_metadata().unwrap().is_symlink());
            assert_eq!(read_to_string(&link).unwrap(), "new");
        }
        assert_eq!(read_to_string(&target).unwrap(), "new");
    }

    #[test]
    fn what_could_not_be_written_later_is_told_before_and_a_pipe_is_kept_for_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "old").unwrap();
        fifo(&at("pipe"));
        for place in [at("file"), at("new"), "/dev/null".into()] {
            reserve(&place).unwrap();
        }
        assert!(!at("new").exists() && read_to_string(&at("file")).unwrap() == "old");
        assert_eq!(reserve(Path::new("/dev/full")).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(reserve(&at("pipe")).unwrap_err().to_string(), "it is a pipe that nobody reads");
        let mut cat = Command::new("cat");
        let reader = cat.arg(at("pipe")).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let reserved = once_read(|| reserve(&at("pipe")));
        written(&at("pipe")).unwrap();
        written(&at("pipe")).unwrap();
        drop(reserved);
        assert_eq!(reader.wait_with_output().unwrap().stdout, b"newnew");
    }

    /// What can be done with a pipe once its reader has come.
    fn once_read<T>(attempt: impl Fn() -> io::Result<T>) -> T {
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        loop {
            match attempt() {
                Ok(done) => return done,
                Err(error) => assert!(std::time::Instant::now() < deadline, "nobody reads: {error}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// As `--junit /dev/stdout` is, with `> file` and with `| program`.
    #[test]
    fn a_descriptor_of_a_file_is_refused_and_one_of_a_pipe_is_written_to() {
        if !Path::new("/proc/self/fd").exists() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (redirected, link) = (folder.path().join("redirected"), folder.path().join("stdout"));
        let open = File::create(&redirected).unwrap();
        symlink(format!("/proc/self/fd/{}", open.as_raw_fd()), &link).unwrap();
        for named in [&link, Path::new(&format!("/dev/fd/{}", open.as_raw_fd()))] {
            let refused = reserve(named).unwrap_err().to_string();
            assert!(refused.starts_with("it is a descriptor"), "{}: {refused}", named.display());
        }
        reserve(&redirected).unwrap();

        let (mut reads, writes) = io::pipe().unwrap();
        fs::remove_file(&link).unwrap();
        symlink(format!("/proc/self/fd/{}", writes.as_raw_fd()), &link).unwrap();
        let reserved = reserve(&link).unwrap();
        written(&link).unwrap();
        drop((reserved, writes));
        assert_eq!(io::read_to_string(&mut reads).unwrap(), "new");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_pipe_and_a_device_are_written_to_and_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        fifo(&pipe);
        assert!(written(&pipe).is_err(), "nobody reads, and nobody is waited for");
        let reader = Command::new("cat").arg(&pipe).stdout(std::process::Stdio::piped()).spawn().unwrap();
        once_read(|| written(&pipe));
        assert_eq!(reader.wait_with_output().unwrap().stdout, b"new");
        assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo());
        let full = written(Path::new("/dev/full")).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(Path::new("/dev/full").metadata().unwrap().file_type().is_char_device());
        let folder = written(folder.path()).unwrap_err();
        assert_eq!(folder.kind(), io::ErrorKind::IsADirectory);
    }
}
