//! Patterns as Go's `filepath.Match` has them, by which Prometheus and Alertmanager find files, and Vector its parts.

use std::path::{Component, Path, PathBuf};

/// A path without `.` and `..`.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

/// Whether a pattern finds a file, as Go's `filepath.Match` has it: a star takes no slash.
pub(super) fn finds(pattern: &Path, file: &Path) -> bool {
    let parts = |path: &Path| path.iter().map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let (pattern, file) = (parts(pattern), parts(file));
    pattern.len() == file.len() && pattern.iter().zip(&file).all(|(pattern, name)| fits(pattern, name))
}

/// Whether a pattern finds a name. Of all stars only the last is tried anew, for what an earlier one took cannot matter any
/// more.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (mut rest, mut left) = (pattern, name);
    let mut star: Option<(&str, &str)> = None;
    loop {
        if let Some(after) = rest.strip_prefix('*') {
            (rest, star) = (after, Some((after, left)));
        } else if left.is_empty() && rest.is_empty() {
            return true;
        } else if let Some(after) = one(rest, left) {
            (rest, left) = after;
        } else {
            let Some((after, taken)) = star else { return false };
            let Some(c) = taken.chars().next() else { return false };
            left = &taken[c.len_utf8()..];
            (rest, star) = (after, Some((after, left)));
        }
    }
}

/// What is left of both once the pattern's first part has taken one letter.
fn one<'a>(pattern: &'a str, name: &'a str) -> Option<(&'a str, &'a str)> {
    let c = name.chars().next()?;
    let after = &name[c.len_utf8()..];
    let mut rest = pattern.chars();
    match rest.next()? {
        '?' => Some((rest.as_str(), after)),
        '\\' => (rest.next()? == c).then_some((rest.as_str(), after)),
        '[' => rest.as_str().split_once(']').filter(|(class, _)| is_of(class, c)).map(|(_, rest)| (rest, after)),
        first => (first == c).then_some((rest.as_str(), after)),
    }
}

/// Whether a letter is of a class: `a-z_`, `^0-9`.
fn is_of(class: &str, c: char) -> bool {
    let (class, negated) = class.strip_prefix('^').map_or((class, false), |class| (class, true));
    let letters: Vec<char> = class.chars().collect();
    let mut at = 0;
    let mut is_in = false;
    while at < letters.len() {
        let to = if letters.get(at + 1) == Some(&'-') { letters.get(at + 2) } else { None };
        is_in |= (letters[at]..=*to.unwrap_or(&letters[at])).contains(&c);
        at += if to.is_some() { 3 } else { 1 };
    }
    is_in != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_what_go_finds() {
        for (pattern, name, found) in [
            ("rules/*.yml", "rules/app.yml", true),
            ("rules/*.yml", "rules/tests/app.yml", false),
            ("rules/*.yml", "rules/app.yaml", false),
            ("rules/*", "rules/.hidden", true),
            ("rules/a?p.yml", "rules/app.yml", true),
            ("rules/[a-c]*.yml", "rules/app.yml", true),
            ("rules/[^a-c]*.yml", "rules/app.yml", false),
            ("rules/[xa]pp.yml", "rules/app.yml", true),
            ("rules/\\*.yml", "rules/app.yml", false),
            ("**/app.yml", "rules/app.yml", true),
            ("**/app.yml", "a/b/app.yml", false),
            ("rules/[", "rules/[", false),
            (
                "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
            ("a*b*c", "a-b-b-c", true),
        ] {
            assert_eq!(finds(Path::new(pattern), Path::new(name)), found, "{pattern} {name}");
        }
        assert_eq!(plain(Path::new("prometheus/rules/tests/../app.yml")), Path::new("prometheus/rules/app.yml"));
    }
}
