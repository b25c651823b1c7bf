//! What a service calls its things, as monitoring/service.toml says it: who starts it, sends to it, counts with it or checks what
//! is asked of it reads it here.
//!
//! What a service does not have is `None`, and what rests on it is not proven: [`Service::without`] has the words. A tree without
//! the file is of before there was one, and its service is [ours](Service::ours).
//!
//! Not for: whether a service does what is written here. Evidence finds that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::failure::{Failure, Finding};
use crate::files;

mod file;
mod types;

pub use types::{APP, Build, FILE, Faults, Log, Metric, PLACES, Part, Service, Start};

/// Its place in monitoring/.
const NAME: &str = "service.toml";

/// The service of files by their paths relative to monitoring/; [ours](Service::ours) where none of them says.
pub fn of_files(files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<Service, Vec<Finding>> {
    match files.get(Path::new(NAME)) {
        Some(text) => Service::from_text(&String::from_utf8_lossy(text)),
        None => Ok(Service::ours().clone()),
    }
}

/// The service of a tree, by its root; [ours](Service::ours) where no file says.
pub fn of_tree(root: &Path) -> Result<Service, Failure> {
    let file = root.join(FILE);
    match files::read(&file) {
        Ok(text) => Ok(Service::from_text(&String::from_utf8_lossy(&text))?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Service::ours().clone()),
        Err(error) => Err(Failure::usage(format!("cannot read {}: {error}", file.display()))),
    }
}

impl Service {
    /// The one in this repository: what a tree means that has no such file.
    pub fn ours() -> &'static Service {
        static OURS: OnceLock<Service> = OnceLock::new();
        OURS.get_or_init(|| {
            let text = include_str!("../../../monitoring/service.toml");
            Service::from_text(text).unwrap_or_else(|findings| unreachable!("{findings:?}"))
        })
    }

    /// Reads the file's text; all that is wrong is told.
    pub fn from_text(text: &str) -> Result<Service, Vec<Finding>> {
        file::read(Path::new(FILE), text)
    }

    /// Whether it is the one in this repository, whose code can be asked what it exposes, with whatever settings it is started.
    pub fn is_ours(&self) -> bool {
        let program = |service: &Service| service.start.as_ref().map(|start| start.program.clone());
        let unstarted = |service: &Service| Service { start: None, ..service.clone() };
        program(self) == program(Service::ours()) && unstarted(self) == unstarted(Service::ours())
    }
}

#[cfg(test)]
mod tests;
