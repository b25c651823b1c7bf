//! The queries and commands that runbooks have for pasting, with their lines.

use std::path::PathBuf;

use super::tree::file_of;
use aiclipx_model::monitoring::Monitoring;

/// Below monitoring/.
pub(super) const FOLDER: &str = "runbooks";

/// A query to paste.
pub(super) struct Query {
    /// Relative to the repository's root.
    pub(super) file: PathBuf,
    pub(super) line: usize,
    /// The page's name, without its ending.
    pub(super) page: String,
    pub(super) expr: String,
}

/// Every query of every page: a line of a block is one.
pub(super) fn queries(monitoring: &Monitoring) -> Vec<Query> {
    let of_page = |page: Page| {
        let lines = blocks(&page.text, "promql");
        let query =
            |(line, expr): (usize, String)| Query { file: page.file.clone(), line, page: page.name.clone(), expr };
        lines.into_iter().map(query).collect::<Vec<_>>()
    };
    pages(monitoring).flat_map(of_page).collect()
}

/// Those, and the queries within commands: `promtool query instant http://… 'QUERY'`.
pub(super) fn asked(monitoring: &Monitoring) -> Vec<Query> {
    let of_page = |page: Page| {
        let lines = blocks(&page.text, "sh").into_iter();
        let of_command = |(line, command): (usize, String)| {
            let (_, rest) = command.split_once("promtool query ")?;
            let expr = rest.split_once('\'')?.1.rsplit_once('\'')?.0.to_owned();
            Some(Query { file: page.file.clone(), line, page: page.name.clone(), expr })
        };
        lines.filter_map(of_command).collect::<Vec<_>>()
    };
    queries(monitoring).into_iter().chain(pages(monitoring).flat_map(of_page)).collect()
}

pub(super) struct Page {
    /// Relative to the repository's root.
    pub(super) file: PathBuf,
    /// Without its ending.
    pub(super) name: String,
    pub(super) text: String,
}

pub(super) fn pages(monitoring: &Monitoring) -> impl Iterator<Item = Page> {
    monitoring.files().iter().filter(|(path, _)| path.starts_with(FOLDER)).map(|(path, bytes)| Page {
        file: file_of(path),
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        text: String::from_utf8_lossy(bytes).into_owned(),
    })
}

impl Page {
    /// What a reader can type, with its line: the commands in blocks, and text between backticks.
    pub(super) fn commands(&self) -> Vec<(usize, String)> {
        let mut found = blocks(&self.text, "sh");
        let mut inside = false;
        for (index, line) in self.text.lines().enumerate() {
            if line.starts_with("```") {
                inside = !inside;
            } else if !inside {
                found.extend(line.split('`').skip(1).step_by(2).map(|code| (index + 1, code.to_owned())));
            }
        }
        found
    }
}

/// The lines of this language's blocks, with their numbers.
pub(super) fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(rest) = line.strip_prefix("```") {
            inside = rest == language;
        } else if inside {
            found.push((index + 1, line.to_owned()));
        }
    }
    found
}
