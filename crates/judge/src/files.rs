//! Reading and writing the files of a bundle: packed or not, and no more of them than a bundle of ours has.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::{Serialize, de::DeserializeOwned};

use super::artifacts::{OF_AN_EXPERIMENT, PACKED};
use aiclipx_model::files as plain;

/// No file of a bundle has more, packed or not: one that would is not ours.
const LARGEST: u64 = 64 << 20;
/// Nor has one that is read as JSON: understood, text may take twenty times as much.
pub(super) const LARGEST_JSON: u64 = 8 << 20;
/// Nor has one that is read as a tree of values, or of the tree: there it may take eighty times as much.
const LARGEST_TREE: u64 = 2 << 20;
/// Nor have all of a bundle's together. A `prove` of everything has a tenth.
const LARGEST_BUNDLE: u64 = 256 << 20;

/// Packs an experiment's long artifacts, each in its place; the same bytes give the same file.
pub fn pack(folder: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for artifact in OF_AN_EXPERIMENT.iter().filter(|artifact| artifact.packed) {
        match artifact.several() {
            Some((of, ending)) => files.extend(files_in(&folder.join(of), ending)?),
            None => files.push(artifact.below(folder)),
        }
    }
    pack_all(files.into_iter())
}

/// Packs those of these files that are there.
pub fn pack_all(files: impl Iterator<Item = PathBuf>) -> anyhow::Result<()> {
    for file in files.filter(|file| file.is_file()) {
        let file = &file;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let packed = gzip.write_all(&read_bytes(file)?).and_then(|()| gzip.finish());
        write(&packed_name(file), &packed.with_context(|| format!("cannot pack {}", file.display()))?)?;
        fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(())
}

fn packed_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(PACKED);
    name.into()
}

/// Whether an artifact is there, packed or not, by its name without [`PACKED`].
pub(crate) fn is_there(file: &Path) -> bool {
    file.exists() || packed_name(file).exists()
}

/// Reads a whole file, packed or not, by its name without [`PACKED`].
pub(crate) fn read_bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    read_up_to(file, LARGEST)
}

pub(super) fn read_up_to(file: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = copy_up_to(file, most, &mut bytes)?;
    debug_assert_eq!(length, bytes.len() as u64);
    Ok(bytes)
}

/// How long all these files are together, unpacked; an error where that is more than a bundle has.
pub(crate) fn within_bounds(files: impl IntoIterator<Item = PathBuf>) -> anyhow::Result<u64> {
    let mut all = 0;
    for file in files {
        let plain = file.to_str().and_then(|name| name.strip_suffix(PACKED)).map_or(file.clone(), Into::into);
        let left = LARGEST_BUNDLE - all;
        let length = copy_up_to(&plain, LARGEST.min(left), &mut std::io::sink());
        all += if left < LARGEST {
            length.with_context(|| format!("the files of a bundle have {LARGEST_BUNDLE} bytes together at most"))?
        } else {
            length?
        };
    }
    Ok(all)
}

/// Copies a file, packed or not; its length, or an error where that is more than `most`.
fn copy_up_to(file: &Path, most: u64, to: &mut impl std::io::Write) -> anyhow::Result<u64> {
    let cannot = || format!("cannot read {}", file.display());
    let packed = packed_name(file);
    let too_long = || format!("{} has more than {most} bytes", file.display());
    if file.exists() || !packed.exists() {
        let length =
            std::io::copy(&mut plain::open(file).with_context(cannot)?.take(most + 1), to).with_context(cannot)?;
        ensure!(length <= most, too_long());
        return Ok(length);
    }
    let cannot = || format!("cannot read {}", packed.display());
    let stored = BufReader::new(plain::open(&packed).with_context(cannot)?);
    let mut reader = flate2::bufread::GzDecoder::new(stored).take(most + 1);
    let length = std::io::copy(&mut reader, to).with_context(cannot)?;
    ensure!(length <= most, too_long());
    // `zless` would also show what follows the first gzip member.
    let rest = reader.into_inner().into_inner().fill_buf().with_context(cannot)?.len();
    ensure!(rest == 0, "{}{PACKED} goes on behind what it packs", file.display());
    Ok(length)
}

pub fn read_text(file: &Path) -> anyhow::Result<String> {
    text(file, read_bytes(file)?)
}

/// The same of what is read as a tree of values, or is of the tree.
pub(crate) fn read_tree_text(file: &Path) -> anyhow::Result<String> {
    text(file, read_up_to(file, LARGEST_TREE)?)
}

pub(super) fn text(file: &Path, bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).with_context(|| format!("{} is no UTF-8", file.display()))
}

pub fn read_json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = text(file, read_up_to(file, LARGEST_JSON)?)?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what it should be", file.display()))
}

/// Writes a JSON file that people can read, creating its folder.
pub fn write_json(file: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = json_text(value).with_context(|| format!("cannot encode {}", file.display()))?;
    write(file, text.as_bytes())
}

/// The text that [`write_json`] writes.
pub fn json_text(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes a file, creating its folder.
pub fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

/// The files of a folder with an ending, packed or not, by name without [`PACKED`]; none where the folder is absent.
pub fn files_in(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.to_string_lossy();
        let name = if ending.is_empty() { &name } else { name.strip_suffix(PACKED).unwrap_or(&name) };
        if name.ends_with(ending) {
            files.push(name.into());
        }
    }
    files.sort();
    Ok(files)
}
