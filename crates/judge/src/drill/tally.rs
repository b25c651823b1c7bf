//! A cell of the matrix, and what is gathered until it is decided.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rows::Row;
use crate::finding::first_of;
use crate::judge::Verdict;

/// A column of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    Fires,
    ToldTo,
    Text,
    Resolves,
}

impl Column {
    /// In the order in which they are shown.
    pub const ALL: [Column; 4] = [Column::Fires, Column::ToldTo, Column::Text, Column::Resolves];

    /// Those in which something is claimed of a row: of what fires always, no end.
    pub fn of(row: &Row) -> impl Iterator<Item = Column> {
        let never_ends = row.fires_always();
        Column::ALL.into_iter().filter(move |column| !(never_ends && *column == Column::Resolves))
    }

    /// As ids and headings have it.
    pub fn name(self) -> &'static str {
        match self {
            Column::Fires => "fires",
            Column::ToldTo => "told-to",
            Column::Text => "text",
            Column::Resolves => "resolves",
        }
    }

    /// What it claims of a row is called so.
    pub fn claim(self, row: &Row) -> String {
        format!("{}/{}", self.name(), row.name)
    }

    fn says(self, alert: &str) -> String {
        match self {
            Column::Fires => format!(
                "{alert} fires when its tests say so and with their labels, and at no other time they ask about"
            ),
            Column::ToldTo => format!(
                "{alert} is told to the receivers that its labels are routed to, to nobody else, and not while it is inhibited"
            ),
            Column::Text => {
                format!("{alert} says what its tests say, and the messages made of it come out without an error")
            }
            Column::Resolves => format!(
                "{alert} ends when its reason does, and whoever was told of it is told so where send_resolved is on"
            ),
        }
    }
}

/// A cell, decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// `fires/NodeDown`: stable, unique in a bundle.
    pub id: String,
    /// The row's name.
    pub alert: String,
    pub column: Column,
    /// In words a reader understands.
    pub says: String,
    /// So many times, alerts, texts it was decided on.
    pub population: usize,
    pub expected: String,
    pub observed: String,
    /// Files of the bundle it rests on.
    pub artifacts: Vec<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What is gathered for a cell.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) population: usize,
    pub(super) expected: BTreeSet<String>,
    pub(super) observed: BTreeSet<String>,
    /// Why it fails.
    pub(super) fails: Vec<String>,
    /// Why it is not proven.
    pub(super) open: Vec<String>,
    /// What makes it inconclusive.
    pub(super) disturbed: Vec<String>,
    pub(super) artifacts: Vec<String>,
}

impl Tally {
    pub(super) fn decided(self, row: &Row, column: Column) -> Cell {
        let nothing = || "nothing could be seen".to_owned();
        let told = |mut all: Vec<String>| {
            let mut known = BTreeSet::new();
            all.retain(|one| known.insert(one.clone()));
            first_of(all)
        };
        let joined =
            |all: BTreeSet<String>| if all.is_empty() { nothing() } else { first_of(all.into_iter().collect()) };
        let verdict = if !self.fails.is_empty() {
            Verdict::Fails(told(self.fails))
        } else if !self.disturbed.is_empty() {
            Verdict::Invalid(told(self.disturbed))
        } else if !self.open.is_empty() {
            Verdict::NotProven(told(self.open))
        } else if self.population == 0 {
            Verdict::NotProven(nothing())
        } else {
            Verdict::Holds
        };
        Cell {
            id: column.claim(row),
            alert: row.name.clone(),
            column,
            says: column.says(&row.name),
            population: self.population,
            expected: joined(self.expected),
            observed: joined(self.observed),
            artifacts: self.artifacts,
            verdict,
        }
    }
}
