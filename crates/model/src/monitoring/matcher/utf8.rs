//! The grammar that Alertmanager has from 0.27 on: names may be in quotes and of any letters, values are in double quotes or have
//! none of the signs that the grammar needs.

use promql_parser::label::Matcher;

use super::operators::OPERATORS;

pub(super) fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    let mut rest = text.trim();
    let is_open = rest.starts_with('{');
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.strip_suffix('}').ok_or("a brace that is not closed")?.trim();
    }
    let mut matchers = Vec::new();
    while !rest.is_empty() {
        let (name, after) = word(rest)?;
        let after = after.trim_start();
        let operator = OPERATORS.iter().find_map(|(sign, operator)| Some((after.strip_prefix(sign)?, *operator)));
        let (after, operator) = operator.ok_or("=, !=, =~ or !~ follows the name")?;
        let (value, after) = word(after.trim_start())?;
        matchers.push(Matcher::new_matcher(operator, name, value)?);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return Err("a comma is missing".to_owned()),
        }
    }
    // Nothing at all is a matcher in braces only.
    if matchers.is_empty() && !is_open { Err("no matcher".to_owned()) } else { Ok(matchers) }
}

/// A name or a value, and what follows it.
fn word(text: &str) -> Result<(String, &str), String> {
    let Some(inside) = text.strip_prefix('"') else {
        let is_reserved = |c: char| c.is_whitespace() || "{}!=~,\\\"'`".contains(c);
        let (word, rest) = text.split_at(text.find(is_reserved).unwrap_or(text.len()));
        return if word.is_empty() { Err("a word is missing".to_owned()) } else { Ok((word.to_owned(), rest)) };
    };
    let mut word = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((word, chars.as_str())),
            '\\' => word.push(escaped(&mut chars).ok_or("an escape that Go does not know")?),
            '\n' => break,
            c => word.push(c),
        }
    }
    Err("a quote that is not closed".to_owned())
}

/// As Go has it in double quotes.
fn escaped(chars: &mut std::str::Chars) -> Option<char> {
    fn number(chars: &mut std::str::Chars, digits: usize) -> Option<char> {
        let text: String = chars.by_ref().take(digits).collect();
        char::from_u32(u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits)?)
    }
    match chars.next()? {
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        '\\' => Some('\\'),
        '"' => Some('"'),
        'x' => number(chars, 2),
        'u' => number(chars, 4),
        'U' => number(chars, 8),
        _ => None,
    }
}
