//! What came of the files of one kind, as a table; and the bars that are held to it.

use std::fmt::Write;
use std::str::FromStr;

use aiclipx_model::failure::Failure;

/// What came of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// Read, or divided and taken again by who reads it in production.
    Right,
    /// Refused by who reads it in production, too.
    RefusedRightly,
    /// Refused at a speed with its place: nothing in the world divides it, or nobody may.
    RefusedWithLine,
    /// Refused, or its copy is, and nobody else refuses it: in words, with file and line.
    Wrong(String),
    /// Read, and refused by who reads it in production.
    ReadWrongly(String),
}

/// What is asked of each file: to be read, to be divided.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) came: Vec<Came>,
}

/// A kind's rows.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// As the folder is called.
    pub(crate) kind: &'static str,
    /// The first row is what bars are held to.
    pub(crate) rows: Vec<Row>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>) -> Row {
        Row { what: what.into(), came: Vec::new() }
    }

    fn count(&self, is_it: impl Fn(&Came) -> bool) -> usize {
        self.came.iter().filter(|came| is_it(came)).count()
    }

    fn wrong(&self) -> impl Iterator<Item = &str> {
        self.came.iter().filter_map(|came| match came {
            Came::Wrong(what) => Some(what.as_str()),
            _ => None,
        })
    }

    fn read_wrongly(&self) -> impl Iterator<Item = &str> {
        self.came.iter().filter_map(|came| match came {
            Came::ReadWrongly(what) => Some(what.as_str()),
            _ => None,
        })
    }
}

impl Table {
    /// As it is printed, with the first of what is wrong.
    pub(crate) fn text(&self, show: usize) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let right = row.count(|came| *came == Came::Right);
            let rightly = row.count(|came| *came == Came::RefusedRightly);
            let lines = row.count(|came| *came == Came::RefusedWithLine);
            let wrong = row.wrong().count();
            let read = row.read_wrongly().count();
            let line = format!(
                "{:<12} {:<11} {:>4} files: {right:>4} right, {rightly:>3} refused rightly, {lines:>3} refused at a line, \
                 {wrong:>3} wrong, {read:>3} read wrongly",
                self.kind,
                row.what,
                row.came.len()
            );
            let _ = writeln!(text, "{line}");
            for what in row.wrong().take(show).chain(row.read_wrongly().take(show)) {
                let _ = writeln!(text, "    {what}");
            }
            let more = wrong.saturating_sub(show) + read.saturating_sub(show);
            if more > 0 {
                let _ = writeln!(text, "    … and {more} more");
            }
        }
        text.trim_end().to_owned()
    }
}

/// `prometheus=34/36`: so many of the files that are right.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    kind: String,
    least: usize,
    of: usize,
}

impl FromStr for Bar {
    type Err = String;

    fn from_str(text: &str) -> Result<Bar, String> {
        let parsed = || {
            let (kind, share) = text.split_once('=')?;
            let (least, of) = share.split_once('/')?;
            let (least, of) = (least.parse().ok()?, of.parse().ok()?);
            (of > 0 && least <= of).then(|| Bar { kind: kind.to_owned(), least, of })
        };
        parsed().ok_or_else(|| format!("`{text}` is no bar; write it like prometheus=34/36"))
    }
}

impl Bar {
    /// Whether it is reached, and in words. A kind of fewer files than the bar names reaches nothing.
    pub(crate) fn of(&self, tables: &[Table]) -> Result<(bool, String), Failure> {
        let Bar { kind, least, of } = self;
        let row = tables.iter().find(|table| table.kind == kind).and_then(|table| table.rows.first());
        let row = row.ok_or_else(|| Failure::usage(format!("there is no kind `{kind}`")))?;
        let right = row.count(|came| *came == Came::Right);
        let files = right + row.wrong().count();
        let reached = files >= *of && right * of >= least * files;
        let word = if reached { "reached" } else { "missed" };
        Ok((reached, format!("{kind}: {right} of {files}, the bar is {least} of {of}: {word}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_a_share_of_at_least_so_many_files() {
        let came = |right, wrong| {
            let wrong = std::iter::repeat_n(Came::Wrong(String::new()), wrong);
            let came = std::iter::repeat_n(Came::Right, right).chain(wrong).chain([Came::RefusedRightly]).collect();
            [Table { kind: "rules", rows: vec![Row { what: "read".to_owned(), came }] }]
        };
        let bar: Bar = "rules=9/10".parse().unwrap();
        let reached = |right, wrong| bar.of(&came(right, wrong)).unwrap().0;
        assert_eq!(
            [reached(9, 1), reached(18, 2), reached(9, 0), reached(8, 2), reached(0, 0)],
            [true, true, false, false, false]
        );
        assert!("tests=9/10".parse::<Bar>().unwrap().of(&came(9, 1)).is_err());
        for wrong in ["rules", "rules=9", "rules=9/0", "rules=10/9", "rules=a/b"] {
            assert!(wrong.parse::<Bar>().is_err(), "{wrong}");
        }
    }
}
