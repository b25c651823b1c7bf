//! Rules, their unit tests, Prometheus' configurations and Alertmanager's: read, and divided by thirty.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aiclipx_base::duration::Speed;
use aiclipx_model::failure::{Failure, Finding};
use aiclipx_model::monitoring::Monitoring;
use aiclipx_model::monitoring::addresses::Addresses;

use crate::judges::{Judges, Tested};
use crate::table::{Came, Row, Table};

/// What is held against promtool and amtool, by the folder it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rules,
    Tests,
    Prometheus,
    Alertmanager,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Rules, Kind::Tests, Kind::Prometheus, Kind::Alertmanager];

    fn name(self) -> &'static str {
        match self {
            Kind::Rules => "rules",
            Kind::Tests => "tests",
            Kind::Prometheus => "prometheus",
            Kind::Alertmanager => "alertmanager",
        }
    }

    fn is_taken(self, file: &Path, judges: &Judges) -> Result<bool, Failure> {
        match self {
            Kind::Rules => judges.takes_rules(file),
            Kind::Tests => Ok(judges.tests(file)? != Tested::Refused),
            Kind::Prometheus => judges.takes_prometheus(file),
            Kind::Alertmanager => judges.takes_alertmanager(file),
        }
    }
}

/// What came of the files of a kind.
pub(crate) fn table(folder: &Path, kind: Kind, judges: &Judges) -> Result<Table, Failure> {
    let folder = folder.join(kind.name());
    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    let speeds = [Speed::PRODUCTION, Speed::new(30).map_err(|error| Failure::usage(error.to_string()))?];
    let mut rows = vec![Row::new("read"), Row::new("at speed 1"), Row::new("at speed 30")];
    for file in &files {
        let name = file.strip_prefix(&folder).unwrap_or(file);
        let bytes = std::fs::read(file).map_err(|error| unread(file, &error))?;
        let is_taken = kind.is_taken(file, judges)?;
        let read = Monitoring::from_any(BTreeMap::from([(name.to_owned(), bytes)]));
        let monitoring = match (read, is_taken) {
            (Ok(monitoring), true) => monitoring,
            (Err(_), false) => {
                rows[0].came.push(Came::RefusedRightly);
                continue;
            }
            (Err(found), true) => {
                rows[0].came.push(Came::Wrong(in_words(&found)));
                continue;
            }
            // That some release refuses it is what we say of it, too.
            (Ok(monitoring), false) if monitoring.remarks().iter().any(|one| one.name.ends_with("/version")) => {
                rows[0].came.push(Came::RefusedRightly);
                continue;
            }
            (Ok(_), false) => {
                rows[0].came.push(Came::ReadWrongly(format!("{}: read, and refused by who reads it", name.display())));
                continue;
            }
        };
        rows[0].came.push(Came::Right);
        for (row, speed) in rows[1..].iter_mut().zip(speeds) {
            row.came.push(copied(&monitoring, kind, file, name, speed, judges)?);
        }
    }
    Ok(Table { kind: kind.name(), rows })
}

/// What came of the copy for a speed.
fn copied(
    monitoring: &Monitoring,
    kind: Kind,
    file: &Path,
    name: &Path,
    speed: Speed,
    judges: &Judges,
) -> Result<Came, Failure> {
    let rendered = match monitoring.render(&Addresses::canonical(), speed) {
        Ok(rendered) => rendered,
        Err(found) if speed != Speed::PRODUCTION && found.iter().all(|finding| finding.line > 0) => {
            return Ok(Came::RefusedWithLine);
        }
        Err(found) => return Ok(Came::Wrong(in_words(&found))),
    };
    if rendered[name] == monitoring.files()[name] {
        return Ok(Came::Right);
    }
    // Beside what it was made of: secrets, targets and rules that it names lie there, or don't, for both.
    let copy = Copy::of(file, &rendered[name])?;
    let is_taken = kind.is_taken(&copy.0, judges)?;
    Ok(if is_taken { Came::Right } else { Came::Wrong(format!("{}: its copy is refused", name.display())) })
}

/// A file beside another, for as long as somebody looks at it.
struct Copy(PathBuf);

impl Copy {
    fn of(file: &Path, bytes: &[u8]) -> Result<Copy, Failure> {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let copy = Copy(file.with_file_name(format!(".{stem}.aiclipx-copy.yml")));
        std::fs::write(&copy.0, bytes).map_err(|error| unread(&copy.0, &error))?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) fn in_words(found: &[Finding]) -> String {
    let first = found.first().map(ToString::to_string).unwrap_or_default();
    let first = first.lines().next().unwrap_or_default().to_owned();
    if found.len() > 1 { format!("{first} … and {} more", found.len() - 1) } else { first }
}

/// Every file below a folder but hidden ones, in the order of names; none where there is no such folder.
pub(crate) fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if !folder.is_dir() {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.map_err(|error| unread(folder, &error))?;
    entries.retain(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for path in entries.iter().map(std::fs::DirEntry::path) {
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

pub(crate) fn unread(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot read or write {}: {error}", path.display()))
}
