//! A table of a TOML file read key by key, so that everything wrong is reported at once, each with its line.
//!
//! Not derived: serde stops at the first mistake, and a type of our own around every field that kept it would know nothing of keys
//! that nobody has. toml parses and knows the places. The keys a table is asked for are its known keys: an unknown one is named
//! beside them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::failure::Finding;
use aiclipx_base::duration;

/// Thousandths of a request a second: 100 000/s is more than one loopback pair carries.
const MAX_RATE_MILLIS: u64 = 100_000_000;
/// The file being read and what was found in it.
pub(crate) struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    findings: RefCell<Vec<Finding>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Reader<'a> {
        Reader { file, text, findings: RefCell::default() }
    }

    /// The whole file, as `understand` makes something of its outermost table; else all that is wrong.
    pub(crate) fn read<T>(
        self,
        what: &'static str,
        understand: impl FnOnce(&Section<'_, '_>) -> T,
    ) -> Result<T, Vec<Finding>> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let line = error.span().map_or(0, |span| self.line(span.start));
            self.note(line, format!("not TOML: {}", error.message()), "");
        }
        // What a recovering parser makes of broken TOML would only be told twice.
        let understood = errors.is_empty().then(|| {
            let root = Section::new(&self, what, root.get_ref(), 1);
            let understood = understand(&root);
            root.finish();
            understood
        });
        let mut findings = self.findings.into_inner();
        findings.sort();
        match understood {
            Some(understood) if findings.is_empty() => Ok(understood),
            _ => Err(findings),
        }
    }

    pub(crate) fn note(&self, line: usize, what: impl Into<String>, remedy: &str) {
        let (what, remedy) = (what.into(), remedy.to_owned());
        self.findings.borrow_mut().push(Finding { file: self.file.to_owned(), line, what, remedy });
    }

    /// The one-based line of a byte offset.
    pub(crate) fn line(&self, offset: usize) -> usize {
        1 + self.text.get(..offset).unwrap_or(self.text).matches('\n').count()
    }
}

/// One table: what it is called, where it begins, and which keys it was asked for.
pub(crate) struct Section<'r, 'i> {
    reader: &'r Reader<'r>,
    what: &'static str,
    table: &'r DeTable<'i>,
    line: usize,
    known: RefCell<BTreeSet<String>>,
}

impl<'r, 'i> Section<'r, 'i> {
    pub(crate) fn new(
        reader: &'r Reader<'r>,
        what: &'static str,
        table: &'r DeTable<'i>,
        line: usize,
    ) -> Section<'r, 'i> {
        Section { reader, what, table, line, known: RefCell::default() }
    }

    pub(crate) fn note(&self, what: impl Into<String>, remedy: &str) {
        self.reader.note(self.line, what, remedy);
    }

    /// A finding at the line of a key's value.
    pub(crate) fn complain(&self, key: &str, what: impl Into<String>) {
        let line = self.entry(key).map_or(self.line, |(_, value)| self.reader.line(value.span().start));
        self.reader.note(line, what, "");
    }

    fn wrong_type(&self, key: &str, value: &DeValue<'_>, expected: &str) {
        self.complain(key, format!("`{key}` is {expected}, not {}", with_article(value.type_str())));
    }

    fn entry(&self, key: &str) -> Option<(&'r Spanned<toml::de::DeString<'i>>, &'r Spanned<DeValue<'i>>)> {
        self.table.iter().find(|(name, _)| name.get_ref() == key)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.table.keys().map(|name| name.get_ref().to_string()).collect()
    }

    fn take(&self, key: &str) -> Option<&'r Spanned<DeValue<'i>>> {
        self.known.borrow_mut().insert(key.to_owned());
        self.entry(key).map(|(_, value)| value)
    }

    pub(crate) fn required<T>(&self, key: &str, read: impl Fn(&Self, &str) -> Option<T>) -> Option<T> {
        let value = read(self, key);
        if !self.has(key) {
            self.note(format!("{} needs `{key}`", self.what), "");
        }
        value
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let value = self.take(key)?.get_ref();
        if value.as_str().is_none() {
            self.wrong_type(key, value, "a text");
        }
        value.as_str().map(str::to_owned)
    }

    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let texts = value.get_ref().as_array().map(|array| array.iter().map(|item| item.get_ref().as_str()).collect());
        let texts: Option<Vec<&str>> = texts.unwrap_or(None);
        if texts.is_none() {
            self.complain(key, format!("`{key}` is a list of texts"));
        }
        texts.unwrap_or_default().into_iter().map(str::to_owned).collect()
    }

    /// A table of texts, in order of name.
    pub(crate) fn map(&self, key: &'static str) -> BTreeMap<String, String> {
        let Some(table) = self.table(key) else { return BTreeMap::new() };
        let read = |name: String| Some((name.clone(), table.text(&name)?));
        table.keys().into_iter().filter_map(read).collect()
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        let Some(value) = self.take(key) else { return false };
        if value.get_ref().as_bool().is_none() {
            self.wrong_type(key, value.get_ref(), "true or false");
        }
        value.get_ref().as_bool().unwrap_or(false)
    }

    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        let value = self.take(key)?.get_ref();
        let Some(text) = value.as_str() else {
            self.wrong_type(key, value, "a duration in quotes, like \"5m\"");
            return None;
        };
        duration::parse(text).map_err(|error| self.complain(key, error.to_string())).ok()
    }

    pub(crate) fn count(&self, key: &str) -> Option<u32> {
        let value = self.take(key)?.get_ref();
        let digits = value.as_integer().filter(|integer| integer.radix() == 10).map(DeInteger::as_str);
        let count = digits.and_then(|digits| digits.replace('_', "").parse().ok());
        if count.is_none() {
            self.complain(key, format!("`{key}` is a whole number, not negative"));
        }
        count
    }

    /// Requests a second, kept in thousandths; read from the digits as written, so nothing is rounded.
    pub(crate) fn rate(&self, key: &str) -> Option<u64> {
        let value = self.take(key)?.get_ref();
        let digits = match value {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            DeValue::Float(float) => float.as_str(),
            _ => "",
        };
        let millis = thousandths(&digits.replace('_', "")).filter(|millis| (1..=MAX_RATE_MILLIS).contains(millis));
        if millis.is_none() {
            let expected = "a rate is a number above 0 and up to 100000 with at most three decimals, like 40 or 0.5";
            self.complain(key, format!("{expected} (for a phase without traffic write silent = true)"));
        }
        millis
    }

    pub(crate) fn table(&self, key: &'static str) -> Option<Section<'r, 'i>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Section::new(self.reader, key, table, self.reader.line(value.span().start))),
            other => {
                self.wrong_type(key, other, "a table");
                None
            }
        }
    }

    pub(crate) fn tables(&self, key: &'static str) -> Vec<Section<'r, 'i>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value.get_ref(), "a list of tables");
            return Vec::new();
        };
        let what = match key {
            "phase" => "a phase",
            "requests" => "a request",
            _ => "a fault",
        };
        let mut sections = Vec::new();
        for item in items {
            let line = self.reader.line(item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Section::new(self.reader, what, table, line)),
                _ => self.reader.note(line, format!("`{key}` is a list of tables"), ""),
            }
        }
        sections
    }

    /// Reports every key that was not asked for.
    pub(crate) fn finish(&self) {
        let known = self.known.borrow();
        for (name, _) in self.table {
            if !known.contains(name.get_ref().as_ref()) {
                let line = self.reader.line(name.span().start);
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let what = format!("{} has no key `{}`; it has {}", self.what, name.get_ref(), known.join(", "));
                self.reader.note(line, what, "");
            }
        }
    }
}

fn with_article(type_name: &str) -> String {
    let article = if type_name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {type_name}")
}

/// `2.5` as 2500; no sign but a plus, no exponent, at most three decimals.
fn thousandths(digits: &str) -> Option<u64> {
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 3 || !digits_only(whole) || !digits_only(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    whole.checked_mul(1000)?.checked_add(fraction)
}
