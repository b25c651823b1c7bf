//! An expression's text before it is parsed: what the parser would read otherwise than Prometheus does.

use aiclipx_base::duration;

/// Bytes of an expression, and its levels of parentheses: several times what any rule of ours has.
const LONGEST: usize = 4096;
const DEEPEST: usize = 64;
/// Before labels in parentheses.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The text as the parser reads it right, or why Prometheus 2.42 would not read it, or not so.
///
/// What is too long or too deep is refused unread: parser and printer take a stack frame and more for every level. A duration in a
/// number's place (`x > 5m`) is refused: once parsed it is a number that no division finds; and a number in a duration's.
/// Texts in backticks become quoted ones: in them the parser knows escapes, and Prometheus none. Of a duration in large numbers the
/// parser would read the rest alone.
pub(super) fn prepared(text: &str) -> Result<String, String> {
    // Blanks are no levels, and people indent.
    let length = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
    if length > LONGEST || text.len() > 16 * LONGEST {
        return Err(format!("an expression of {length} bytes without blanks; the longest that is read has {LONGEST}"));
    }
    let mut prepared = String::with_capacity(text.len());
    let mut place = Place::default();
    let mut deepest = 0;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, tail) = rest.split_at(token_length(rest, first));
        rest = tail;
        let written = token.ends_with(|c: char| c.is_ascii_lowercase()).then(|| duration::parse(token).ok()).flatten();
        match first {
            '`' if token.len() > 1 && token.ends_with('`') => {
                prepared.push('"');
                prepared.push_str(&promql_parser::util::escape_string(&token[1..token.len() - 1]));
                prepared.push('"');
            }
            '#' => {}
            _ => match written.filter(|_| place.wants_a_duration()) {
                Some(written) => prepared.push_str(&duration::print(written)),
                None => prepared.push_str(token),
            },
        }
        match first {
            '"' | '\'' => bytes_alone(token)?,
            c if (c.is_ascii_digit() || c == '.') && written.is_some() != place.wants_a_duration() => {
                let (is, instead) = if written.is_some() { ("duration", "number") } else { ("number", "duration") };
                return Err(format!("`{token}` is a {is} in a {instead}'s place; Prometheus 2.42 can't read it"));
            }
            _ => {}
        }
        place.pass(first, token);
        deepest = deepest.max(place.depth);
    }
    if deepest > DEEPEST {
        return Err(format!("an expression of {deepest} levels; the deepest that is read has {DEEPEST}"));
    }
    Ok(prepared)
}

/// The first name in quotes, as it is written: of a series or a label in a selector, or of a label after `by`, `on` and their like.
/// Prometheus reads one from 3.0 on.
pub(in crate::monitoring) fn quoted_name(text: &str) -> Option<&str> {
    let mut place = Place::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, tail) = rest.split_at(token_length(rest, first));
        if place.wants_a_label() && ['"', '\'', '`'].contains(&first) {
            return Some(token);
        }
        place.pass(first, token);
        rest = tail;
    }
    None
}

/// The last word, where it says what the next token is.
#[derive(Clone, Copy, Default, PartialEq)]
enum After {
    #[default]
    Other,
    /// A duration follows.
    Offset,
    /// Labels follow, in a parenthesis.
    Grouping,
}

/// Where in an expression the next token stands.
#[derive(Default)]
struct Place {
    /// Parentheses that are open.
    depth: usize,
    brackets: i32,
    in_braces: bool,
    in_labels: bool,
    after: After,
    /// The first letter of the last token that was no blank.
    before: char,
}

impl Place {
    fn wants_a_duration(&self) -> bool {
        self.brackets > 0 || self.after == After::Offset
    }

    fn wants_a_label(&self) -> bool {
        self.in_labels || (self.in_braces && ['{', ','].contains(&self.before))
    }

    fn pass(&mut self, first: char, token: &str) {
        match first {
            '{' => self.in_braces = true,
            '}' => self.in_braces = false,
            '(' => (self.depth, self.in_labels) = (self.depth + 1, self.after == After::Grouping),
            ')' => (self.depth, self.in_labels) = (self.depth.saturating_sub(1), false),
            '[' => self.brackets += 1,
            ']' => self.brackets -= 1,
            _ => {}
        }
        let is_blank = first == '#' || first.is_whitespace();
        if !is_blank {
            self.before = first;
        }
        self.after = match self.after {
            _ if token.eq_ignore_ascii_case("offset") => After::Offset,
            _ if GROUPING.iter().any(|word| token.eq_ignore_ascii_case(word)) => After::Grouping,
            after if is_blank => after,
            // `offset -5m`: the sign stands between.
            After::Offset if first == '-' => After::Offset,
            _ => After::Other,
        };
    }
}

fn token_length(rest: &str, first: char) -> usize {
    match first {
        '"' | '\'' | '`' => text_length(rest, first),
        '#' => rest.find('\n').unwrap_or(rest.len()),
        c if c.is_ascii_alphanumeric() || c == '_' || c == '.' => word_length(rest),
        c => c.len_utf8(),
    }
}

/// The length of a name, a number or a duration; of a number with its exponent's sign.
fn word_length(text: &str) -> usize {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !text.starts_with("0x");
    let mut last = '\0';
    for (at, c) in text.char_indices() {
        let is_sign = is_number && ['+', '-'].contains(&c) && ['e', 'E'].contains(&last);
        if !(c.is_ascii_alphanumeric() || ['_', ':', '.'].contains(&c) && !(c == ':' && is_number) || is_sign) {
            return at;
        }
        last = c;
    }
    text.len()
}

/// The length of a quoted text with its quotes; a backslash escapes in all but backticks.
fn text_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// `\xff` and `\377` are a byte to Prometheus, which is no text, and a letter to the parser.
fn bytes_alone(token: &str) -> Result<(), String> {
    let mut escapes = token.char_indices().filter(|(_, c)| *c == '\\').map(|(at, _)| at).peekable();
    while let Some(at) = escapes.next() {
        let digits = |from: usize, to: usize| token.get(at + from..at + to).unwrap_or_default();
        let byte = match digits(1, 2) {
            "x" => u32::from_str_radix(digits(2, 4), 16),
            "\\" => {
                escapes.next_if_eq(&(at + 1));
                continue;
            }
            _ => u32::from_str_radix(digits(1, 4), 8),
        };
        if byte.is_ok_and(|byte| byte > 0x7f) {
            return Err(format!("`{}` is a byte that is no text", digits(0, 4)));
        }
    }
    Ok(())
}
