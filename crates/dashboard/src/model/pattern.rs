//! The regular expressions of dashboards, which are JavaScript's: of overrides, and of what is taken of a variable's values.
//!
//! Between slashes an expression may occur anywhere, and has flags behind it; without, it is of the whole text. What only
//! JavaScript matches (a look ahead, a reference back) is not matched here, and whoever asks is told.

use regex::Regex;

/// Whether an override's expression is of a name; none where that can't be told here.
pub fn pattern_matches(pattern: &str, text: &str) -> Option<bool> {
    expression(pattern).map(|expression| expression.is_match(text))
}

/// An expression as Grafana reads it.
pub(crate) fn expression(pattern: &str) -> Option<Regex> {
    let between = pattern.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'));
    let whole = match between {
        // Of all matches Grafana takes the first.
        Some((bare, flags)) if flags.chars().all(|flag| "gimsuy".contains(flag)) => {
            let flags: String = flags.chars().filter(|flag| "ims".contains(*flag)).collect();
            let bare = ours(bare);
            if flags.is_empty() { bare } else { format!("(?{flags}){bare}") }
        }
        Some(_) => return None,
        None => format!("^(?:{})$", ours(pattern)),
    };
    Regex::new(&whole).ok()
}

/// A brace that counts nothing and a bracket in a class stand for themselves in JavaScript.
fn ours(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let counts = |text: &str| {
            let inside = text.split_once('}').map(|(inside, _)| inside);
            inside.is_some_and(|one| {
                one.starts_with(|c: char| c.is_ascii_digit())
                    && !one.contains(|c| c != ',' && !char::is_ascii_digit(&c))
            })
        };
        let length = match c {
            '\\' => rest.chars().take(2).map(char::len_utf8).sum(),
            '{' if !in_class && counts(&rest[1..]) => rest.find('}').map_or(1, |at| at + 1),
            '{' | '}' => {
                written.push('\\');
                1
            }
            '[' if in_class => {
                written.push('\\');
                1
            }
            '[' | ']' => {
                in_class = c == '[';
                1
            }
            _ => c.len_utf8(),
        };
        written.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    written
}
