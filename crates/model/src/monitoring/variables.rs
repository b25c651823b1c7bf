//! How Grafana's variables are written in a text: `$name`, `${name}`, `${name:format}`, `${name.field}`, `[[name]]`.

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// As it stands.
    Plain(&'a str),
    /// A variable, where there is one of that name; Grafana leaves other names as they stand.
    Variable(Reference<'a>),
}

/// A variable in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// All of it.
    pub written: &'a str,
    pub name: &'a str,
    /// What stands behind a dot.
    pub field: Option<&'a str>,
    /// What stands behind a colon, with the format's own arguments.
    pub format: Option<&'a str>,
}

/// A text from its first piece to its last.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut plain, mut at) = (0, 0);
    while let Some(found) = text[at..].find(['$', '[']) {
        at += found;
        let Some(reference) = reference(&text[at..]) else {
            at += 1;
            continue;
        };
        if plain < at {
            parts.push(Part::Plain(&text[plain..at]));
        }
        at += reference.written.len();
        plain = at;
        parts.push(Part::Variable(reference));
    }
    if plain < text.len() {
        parts.push(Part::Plain(&text[plain..]));
    }
    parts
}

/// The names of the variables in a text, as often as they stand there.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    parts(text).into_iter().filter_map(|part| match part {
        Part::Variable(reference) => Some(reference.name),
        Part::Plain(_) => None,
    })
}

/// The variable that a text begins with.
pub(super) fn reference(text: &str) -> Option<Reference<'_>> {
    if let Some(rest) = text.strip_prefix("${") {
        let (inside, _) = rest.split_once('}')?;
        let name = word(inside);
        let (field, format) = match &inside[name.len()..] {
            "" => (None, None),
            behind if behind.starts_with('.') => match behind[1..].split_once(':') {
                Some((field, format)) => (Some(field), Some(format)),
                None => (Some(&behind[1..]), None),
            },
            behind => (None, Some(behind.strip_prefix(':')?)),
        };
        let is_empty = |part: Option<&str>| part == Some("");
        let is_one = !name.is_empty() && !is_empty(field) && !is_empty(format);
        return is_one.then_some(Reference { written: &text[..inside.len() + 3], name, field, format });
    }
    if let Some(rest) = text.strip_prefix("[[") {
        let (inside, _) = rest.split_once("]]")?;
        let name = word(inside);
        let format = match &inside[name.len()..] {
            "" => None,
            behind => Some(behind.strip_prefix(':').filter(|format| !format.is_empty() && word(format) == *format)?),
        };
        let written = &text[..inside.len() + 4];
        return (!name.is_empty()).then_some(Reference { written, name, field: None, format });
    }
    let name = word(text.strip_prefix('$')?);
    (!name.is_empty()).then_some(Reference { written: &text[..=name.len()], name, field: None, format: None })
}

/// The word that a text begins with.
fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found_and_nothing_else() {
        let found = |text| {
            let variables = parts(text).into_iter().filter_map(|part| match part {
                Part::Variable(one) => Some((one.written, one.name, one.field, one.format)),
                Part::Plain(_) => None,
            });
            variables.collect::<Vec<_>>()
        };
        for (text, written, name, field, format) in [
            ("a $job b", "$job", "job", None, None),
            ("$job.x", "$job", "job", None, None),
            ("${job}s", "${job}", "job", None, None),
            ("${job:regex}", "${job:regex}", "job", None, Some("regex")),
            ("${__from:date:YYYY-MM}", "${__from:date:YYYY-MM}", "__from", None, Some("date:YYYY-MM")),
            ("${job.text}", "${job.text}", "job", Some("text"), None),
            ("${job.text:raw}", "${job.text:raw}", "job", Some("text"), Some("raw")),
            ("[[job]]", "[[job]]", "job", None, None),
            ("[[job:csv]]", "[[job:csv]]", "job", None, Some("csv")),
            ("a{b=~\"[$job\"}", "$job", "job", None, None),
        ] {
            assert_eq!(found(text), [(written, name, field, format)], "{text}");
        }
        for text in ["a{b=~\"x$\"}", "[[:alpha:]]", "${}", "${job:}", "${job", "${a-b}", "[[job", "$", "x[5m]", "$-"] {
            assert_eq!(found(text), [], "{text}");
        }
        assert_eq!(names("$a[[b]]${c}$$d").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        let whole = "ü${a}ß$b[[c]]$";
        let together: String = parts(whole)
            .into_iter()
            .map(|part| match part {
                Part::Plain(text) => text,
                Part::Variable(one) => one.written,
            })
            .collect();
        assert_eq!(together, whole);
    }
}
