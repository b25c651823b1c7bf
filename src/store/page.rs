//! A page of items as JSON, written item by item until it is full.

use std::io::Write;

use super::Item;

/// The longest that a page may end with.
const LONGEST_END: &str = r#"],"next":18446744073709551615}"#;

/// A page under way.
pub(super) struct Page {
    json: Vec<u8>,
    limit: usize,
    /// Bytes for the items and what is before them.
    room: usize,
    count: usize,
    last: Option<u64>,
    /// There was one more.
    goes_on: bool,
}

impl Page {
    /// A page of at most `limit` items, as many as fit in `bytes` but at least one.
    pub(super) fn new(limit: usize, bytes: usize) -> Page {
        let room = bytes.saturating_sub(LONGEST_END.len());
        Page { json: br#"{"items":["#.to_vec(), limit, room, count: 0, last: None, goes_on: false }
    }

    /// Takes the next item, in the order of ids; `false`: it is full, and the next page begins with this one.
    pub(super) fn push(&mut self, item: &Item) -> bool {
        let before = self.json.len();
        if self.last.is_some() {
            self.json.push(b',');
        }
        if self.count < self.limit {
            serde_json::to_writer(&mut self.json, item).expect("a vector takes every write");
        }
        if self.count == self.limit || (self.json.len() > self.room && self.last.is_some()) {
            self.json.truncate(before);
            self.goes_on = true;
            return false;
        }
        (self.last, self.count) = (Some(item.id), self.count + 1);
        true
    }

    /// The whole of it: with what to ask the next page `after`, if there is one.
    pub(super) fn finish(mut self) -> Vec<u8> {
        match self.last.filter(|_| self.goes_on) {
            Some(next) => write!(self.json, r#"],"next":{next}}}"#).expect("a vector takes every write"),
            None => self.json.extend_from_slice(br#"],"next":null}"#),
        }
        self.json.shrink_to_fit();
        self.json
    }
}
