//! How Grafana writes a variable's values where a format is named: `${job:csv}`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{Variable, VariableKind};

/// What stands for a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    One(String),
    Several(Vec<String>),
    /// What somebody wrote for "all": it goes in as it is, whatever the format.
    AsWritten(String),
}

/// In this format; in one that Grafana does not know, as a glob.
pub(super) fn written(format: &str, name: &str, standing: &Standing) -> String {
    let (format, arguments) = format.split_once(':').map_or((format, ""), |(format, rest)| (format, rest));
    let (values, is_list) = match standing {
        Standing::One(value) | Standing::AsWritten(value) => (std::slice::from_ref(value), false),
        Standing::Several(values) => (values.as_slice(), true),
    };
    let joined = |by: &str| values.join(by);
    let each = |write: &dyn Fn(&String) -> String, by: &str| values.iter().map(write).collect::<Vec<_>>().join(by);
    let in_braces = || if is_list { format!("{{{}}}", joined(",")) } else { joined("") };
    match format {
        "raw" | "csv" => joined(","),
        "pipe" => joined("|"),
        "join" => joined(if arguments.is_empty() { "," } else { arguments }),
        "regex" if values.len() > 1 => format!("({})", each(&|one| regex(one), "|")),
        "regex" => each(&|one| regex(one), "|"),
        "json" if is_list => serde_json::to_string(values).unwrap_or_default(),
        "json" => joined(""),
        "distributed" => {
            let behind = format!(",{name}=");
            joined(&behind)
        }
        "lucene" if is_list && values.is_empty() => "__empty__".to_owned(),
        "lucene" if is_list => format!("({})", each(&|one| format!("\"{}\"", lucene(one)), " OR ")),
        "lucene" => each(&|one| lucene(one), ""),
        "html" => html(&joined(", ")),
        "percentencode" => percent(&in_braces(), COMPONENT),
        "uriencode" => percent(&in_braces(), ADDRESS),
        "singlequote" => each(&|one| format!("'{}'", one.replace('\'', "\\'")), ","),
        "doublequote" => each(&|one| format!("\"{}\"", one.replace('"', "\\\"")), ","),
        "sqlstring" => each(&|one| format!("'{}'", one.replace('\'', "''").replace('"', "\\\"")), ","),
        "queryparam" => each(&|one| format!("var-{name}={}", percent(one, COMPONENT)), "&"),
        "customqueryparam" => {
            let (own, before) = arguments.split_once(':').unwrap_or((arguments, ""));
            let own = percent(if own.is_empty() { name } else { own }, COMPONENT);
            let before = percent(before, COMPONENT);
            each(&|one| format!("{own}={before}{}", percent(one, COMPONENT)), "&")
        }
        "date" => date(&joined(""), arguments),
        _ if values.len() > 1 => in_braces(),
        _ => joined(""),
    }
}

/// What is chosen, as a reader sees it: of a list, what its values are called.
pub(super) fn text(variable: &Variable, standing: &Standing) -> String {
    let called = |value: &String| match &variable.kind {
        VariableKind::Listed(listed) => {
            listed.iter().find(|(_, own)| own == value).map_or_else(|| value.clone(), |(text, _)| text.clone())
        }
        _ => value.clone(),
    };
    match standing {
        Standing::One(value) | Standing::AsWritten(value) => called(value),
        Standing::Several(values) => values.iter().map(called).collect::<Vec<_>>().join(" + "),
    }
}

fn behind_backslashes(value: &str, which: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if which.contains(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

fn regex(value: &str) -> String {
    behind_backslashes(value, r"\^$*+?.()|[]{}/")
}

/// A number is left alone.
fn lucene(value: &str) -> String {
    if value.trim().is_empty() || value.trim().parse::<f64>().is_ok() {
        return value.to_owned();
    }
    behind_backslashes(value, "!*+-=<>&|()[]{}^~?:\\/\" \t\n")
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;").replace('"', "&quot;")
}

/// What is written as `%XX` in a part of an address.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// And in a whole one.
const ADDRESS: &AsciiSet = &COMPONENT
    .remove(b';')
    .remove(b',')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b'#');

fn percent(text: &str, encoded: &'static AsciiSet) -> String {
    utf8_percent_encode(text, encoded).to_string()
}

/// Milliseconds of Unix time as a date, in UTC: `iso`, `seconds`, or a pattern of Moment's.
fn date(value: &str, arguments: &str) -> String {
    let Some(at) = value.parse::<i64>().ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok()) else {
        return "NaN".to_owned();
    };
    match arguments {
        "ms" => value.to_owned(),
        // Halves go up, as in JavaScript.
        "seconds" => (at.as_millisecond() + 500).div_euclid(1000).to_string(),
        "" | "iso" => at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        pattern => moment(at, pattern),
    }
}

/// The parts of Moment's patterns that are in use; the rest stands for itself.
const MOMENT: [(&str, &str); 14] = [
    ("YYYY", "%Y"),
    ("YY", "%y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("M", "%-m"),
    ("DD", "%d"),
    ("D", "%-d"),
    ("HH", "%H"),
    ("H", "%-H"),
    ("mm", "%M"),
    ("m", "%-M"),
    ("ss", "%S"),
    ("SSS", "%3f"),
];

fn moment(at: jiff::Timestamp, pattern: &str) -> String {
    let mut written = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some((inside, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            written.push_str(inside);
            rest = behind;
        } else if let Some((part, ours)) = MOMENT.iter().find(|(part, _)| rest.starts_with(part)) {
            written += &at.strftime(ours).to_string();
            rest = &rest[part.len()..];
        } else {
            written.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts of @grafana/scenes; one value that is chosen alone, and a list.
    #[test]
    fn values_are_written_as_grafana_writes_them() {
        let one = Standing::One("a/b 'c' \"d\"".to_owned());
        let several = Standing::Several(vec!["x.y".to_owned(), "it's \"z\"".to_owned()]);
        for (format, alone, list) in [
            ("raw", r#"a/b 'c' "d""#, r#"x.y,it's "z""#),
            ("csv", r#"a/b 'c' "d""#, r#"x.y,it's "z""#),
            ("pipe", r#"a/b 'c' "d""#, r#"x.y|it's "z""#),
            ("join:;", r#"a/b 'c' "d""#, r#"x.y;it's "z""#),
            ("regex", r#"a\/b 'c' "d""#, r#"(x\.y|it's "z")"#),
            ("json", r#"a/b 'c' "d""#, r#"["x.y","it's \"z\""]"#),
            ("distributed", r#"a/b 'c' "d""#, r#"x.y,job=it's "z""#),
            ("lucene", r#"a\/b\ 'c'\ \"d\""#, r#"("x.y" OR "it's\ \"z\"")"#),
            ("html", "a/b &#39;c&#39; &quot;d&quot;", "x.y, it&#39;s &quot;z&quot;"),
            ("percentencode", "a%2Fb%20%27c%27%20%22d%22", "%7Bx.y%2Cit%27s%20%22z%22%7D"),
            ("uriencode", "a/b%20%27c%27%20%22d%22", "%7Bx.y,it%27s%20%22z%22%7D"),
            ("singlequote", r#"'a/b \'c\' "d"'"#, r#"'x.y','it\'s "z"'"#),
            ("doublequote", r#""a/b 'c' \"d\"""#, r#""x.y","it's \"z\"""#),
            ("sqlstring", r#"'a/b ''c'' \"d\"'"#, r#"'x.y','it''s \"z\"'"#),
            ("queryparam", "var-job=a%2Fb%20%27c%27%20%22d%22", "var-job=x.y&var-job=it%27s%20%22z%22"),
            ("customqueryparam:p:v-", "p=v-a%2Fb%20%27c%27%20%22d%22", "p=v-x.y&p=v-it%27s%20%22z%22"),
            ("glob", r#"a/b 'c' "d""#, r#"{x.y,it's "z"}"#),
            ("nobody-knows", r#"a/b 'c' "d""#, r#"{x.y,it's "z"}"#),
            ("date", "NaN", "NaN"),
        ] {
            assert_eq!(written(format, "job", &one), alone, "{format}");
            assert_eq!(written(format, "job", &several), list, "{format}");
        }
        assert_eq!(written("lucene", "job", &Standing::Several(Vec::new())), "__empty__");
        assert_eq!(written("lucene", "job", &Standing::One("-1.5".to_owned())), "-1.5");
        let time = Standing::One("1700000000500".to_owned());
        for (format, text) in [
            ("date", "2023-11-14T22:13:20.500Z"),
            ("date:iso", "2023-11-14T22:13:20.500Z"),
            ("date:seconds", "1700000001"),
            ("date:ms", "1700000000500"),
            ("date:YYYY-MM-DD[T]HH:mm", "2023-11-14T22:13"),
        ] {
            assert_eq!(written(format, "__from", &time), text, "{format}");
        }
    }
}
