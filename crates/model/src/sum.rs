//! What bytes are known by: their SHA-256, in hexadecimal digits.

use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::files;

/// Bytes on their way to a sum: whatever is written to it is counted and forgotten.
#[derive(Debug, Clone, Default)]
pub struct Sum(Sha256);

impl Sum {
    pub fn new() -> Sum {
        Sum::default()
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum of all there were.
    pub fn hex(self) -> String {
        hex(&self.0.finalize())
    }
}

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sum of all that is read, however much it is.
pub(crate) fn of(source: &mut impl Read) -> io::Result<String> {
    let mut sum = Sum::new();
    io::copy(source, &mut sum)?;
    Ok(sum.hex())
}

pub fn of_file(path: &Path) -> anyhow::Result<String> {
    let read = || of(&mut files::open(path)?);
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_that_of_sha256sum() {
        assert_eq!(hex(&[0, 9, 0xa0, 0xff]), "0009a0ff");
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of(&mut "abc".as_bytes()).unwrap(), known);
        let mut pieces = Sum::new();
        pieces.add(b"a");
        write!(pieces, "bc").unwrap();
        assert_eq!(pieces.hex(), known);
    }
}
