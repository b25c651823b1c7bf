//! Files that the URL names.

use std::fs;
use std::path::Path;

/// The text of the file that this parameter names.
pub(super) fn read(path: &Path, parameter: &str) -> Result<String, String> {
    fs::read_to_string(path)
        .map_err(|error| format!("APP_DATABASE_URL: its {parameter} {} can't be read: {error}", path.display()))
}
