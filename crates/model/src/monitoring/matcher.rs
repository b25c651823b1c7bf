//! Alertmanager's matchers, in the grammar that every release of it reads, its classic one; and, for what that one refuses, in
//! the one that releases from 0.27 on have ([`utf8`]).
//!
//! It is not that of expressions: quotes may be left out, single ones belong to the value, a backslash that escapes nothing
//! stands for itself, and one text may hold several matchers.

use promql_parser::label::Matcher;
use promql_parser::parser::token::TokenId;

use super::located::Node;

mod operators;
mod utf8;

use operators::OPERATORS;

/// Reads what may stand as one item of `matchers`; none of it matches everything. What both grammars read, each in its own way,
/// is taken as the classic one has it: so do the newer releases.
pub fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    classic(text).or_else(|refused| utf8::parse(text).map_err(|_| refused))
}

/// Whether a release before 0.27 refuses it.
pub fn is_newer(text: &str) -> bool {
    classic(text).is_err() && utf8::parse(text).is_ok()
}

/// The labels of `match` and its like, each of them a matcher.
pub(super) fn of_map(node: Option<&Node>, operator: TokenId) -> Vec<Matcher> {
    let entries = node.map_or(&[][..], Node::entries);
    let one = |(key, value): (&String, &str)| Matcher::new_matcher(operator, key.clone(), value.to_owned()).ok();
    entries.iter().filter_map(|entry| one((&entry.key, entry.node.as_text()?))).collect()
}

/// By the grammar that there was at first.
fn classic(text: &str) -> Result<Vec<Matcher>, String> {
    let inside = text.strip_prefix('{').unwrap_or(text);
    let inside = inside.strip_suffix('}').unwrap_or(inside);
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in inside.chars() {
        match c {
            ',' if !quoted => {
                parts.push(String::new());
                continue;
            }
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    // What ends in a comma ends there.
    parts.pop_if(|last| last.trim().is_empty());
    parts.iter().map(|part| one(part)).collect()
}

/// All of a list, each written one way, sorted: an alert must match every one. What is none stands as it is.
pub fn written_one_way(items: &[Node]) -> Vec<String> {
    let each = items.iter().flat_map(|item| {
        let text = item.value.plain();
        let read =
            parse(&text).map(|read| read.iter().map(|one| format!("{}{}{:?}", one.name, one.op, one.value)).collect());
        read.unwrap_or_else(|_| vec![text])
    });
    let mut each: Vec<String> = each.collect();
    each.sort();
    each
}

fn one(text: &str) -> Result<Matcher, String> {
    let refused =
        |why: &str| format!("`{text}` is no matcher of Alertmanager's: {why}; write it like severity=\"critical\"");
    // Go's \s is ASCII's.
    let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c');
    let trimmed = text.trim_matches(space);
    let length = trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(trimmed.len());
    let (name, rest) = trimmed.split_at(length);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(refused("it begins with no label's name"));
    }
    let rest = rest.trim_start_matches(space);
    let operator = OPERATORS.into_iter().find_map(|(sign, operator)| Some((rest.strip_prefix(sign)?, operator)));
    let Some((value, operator)) = operator else { return Err(refused("=, !=, =~ or !~ follows the name")) };
    let value = unquoted(value.trim_start_matches(space)).ok_or_else(|| refused("a double quote stands alone"))?;
    Matcher::new_matcher(operator, name.to_owned(), value).map_err(|error| refused(&error))
}

/// The value as Alertmanager takes it; none where a double quote stands where it may not.
fn unquoted(raw: &str) -> Option<String> {
    let (raw, mut is_open) = raw.strip_prefix('"').map_or((raw, false), |raw| (raw, true));
    let mut value = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(c @ ('"' | '\\')) => value.push(c),
                Some(c) => value.extend(['\\', c]),
                None => value.push('\\'),
            },
            '"' if is_open && chars.as_str().is_empty() => is_open = false,
            '"' => return None,
            c => value.push(c),
        }
    }
    (!is_open).then_some(value)
}

#[cfg(test)]
mod tests;
