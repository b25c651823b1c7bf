//! A panel's query, which is an expression only once Grafana has filled in its variables: what can be known of it before, and what
//! it asks at a stack's speed.

use std::sync::LazyLock;
use std::time::Duration;

use super::memo::Memo;
use super::promql;
use aiclipx_base::duration::{self, Speed};

/// A panel's query as a stack of that speed is asked it: what lengths it has of its own are divided.
pub fn panel_query_at(text: &str, speed: Speed) -> Result<String, Vec<String>> {
    match promql::parse(text) {
        Ok(mut tree) if speed != Speed::PRODUCTION && !promql::durations(&tree).is_empty() => {
            promql::divide(&mut tree, speed).map(|()| promql::print(&tree))
        }
        Err(_) if speed != Speed::PRODUCTION => {
            length_beside_a_variable(text).map_or_else(|| Ok(text.to_owned()), |refused| Err(vec![refused]))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Why a panel's query can't be divided: it has a length of its own and, where no text stands, a variable, with which it is no
/// expression yet.
pub(super) fn length_beside_a_variable(text: &str) -> Option<String> {
    if promql::parse(text).is_ok() {
        return None;
    }
    let tree = promql::parse(&without_variables(text)).ok()?;
    let literal = promql::durations(&tree).into_iter().find(|duration| *duration != VARIABLE)?;
    Some(format!("a panel with the literal range {} beside a variable", duration::print(literal)))
}

/// A length that no query has stands for each of Grafana's variables of time.
pub(super) const VARIABLE: Duration = Duration::from_millis(123_456_789);

/// What stands for a variable of which nothing is known.
pub const UNKNOWN: &str = "unknown_variable";

/// Bytes of expressions with variables whose filled-in text is kept: some ten times those of this tree.
const MOST_FILLED: usize = 1 << 20;

/// A panel's expression with Grafana's variables filled in, so that it parses: a length for what is one, and for the others
/// [`UNKNOWN`], or a number where only that can stand.
pub fn without_variables(text: &str) -> String {
    // Of each panel a check asks some five times.
    static FILLED: LazyLock<Memo<String>> = LazyLock::new(|| Memo::of(MOST_FILLED));
    FILLED.get(text.as_bytes(), || {
        let with_numbers = filled(text, "1");
        if promql::parse(&with_numbers).is_ok() { with_numbers } else { filled(text, UNKNOWN) }
    })
}

/// An expression with its variables filled in; with this, where it does not show whether it is a word or a number.
fn filled(text: &str, alone: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut filled = String::new();
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let Some((name, after)) = variable(rest) else {
            let length = if c == '\\' && quote.is_some() {
                rest.chars().take(2).map(char::len_utf8).sum()
            } else {
                c.len_utf8()
            };
            match quote {
                Some(open) if open == c => quote = None,
                None if ['"', '\'', '`'].contains(&c) => quote = Some(c),
                _ => {}
            }
            filled.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        };
        let is_open = |open, close| filled.rfind(open) > filled.rfind(close);
        let is_length = quote.is_none() && (is_open('[', ']') || filled.trim_end().ends_with("offset"));
        let is_label = || {
            let before = filled.rfind('(').map_or("", |at| filled[..at].trim_end());
            let lists = ["by", "without", "on", "ignoring", "group_left", "group_right"];
            is_open('(', ')') && lists.iter().any(|list| before.ends_with(list))
        };
        let is_word = || {
            after.starts_with(|c| is_part(c) || c == '{' || c == '[')
                || filled.ends_with(is_part)
                || is_open('{', '}')
                || is_label()
        };
        let with = if is_length || ["__rate_interval", "__interval", "__range"].contains(&name) {
            duration::print(VARIABLE)
        } else {
            if quote.is_some() || is_word() { UNKNOWN } else { alone }.to_owned()
        };
        filled.push_str(&with);
        rest = after;
    }
    filled
}

/// The name of the variable that a text begins with, `$name`, `${name:format}` or `[[name]]`, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (inside, end) = match text.strip_prefix('$') {
        Some(rest) => rest.strip_prefix('{').map_or((rest, ""), |rest| (rest, "}")),
        None => (text.strip_prefix("[[")?, "]]"),
    };
    let (name, after) = inside.split_at(inside.find(|c| !is_part(c)).unwrap_or(inside.len()));
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let after = if end.is_empty() { after } else { after.split_once(end)?.1 };
    Some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_what_can_stand_there() {
        for (text, plain) in [
            ("rate(a[$__rate_interval])", "rate(a[LENGTH])"),
            ("rate(a[${window}] offset $ago)", "rate(a[LENGTH] offset LENGTH)"),
            ("sum by ($by, ${one:csv}) (a)", "sum by (WORD, WORD) (a)"),
            ("histogram_quantile($q, sum by (le, $by) (a))", "histogram_quantile(1, sum by (le, WORD) (a))"),
            ("sum($metric)", "sum(WORD)"),
            ("a_${kind}_total{$label=~\"${job:regex}|[[other]]\"} > $least", "a_WORD_total{WORD=~\"WORD|WORD\"} > 1"),
            ("a{b=~\"5..$\", c=\"\\\"$d\"}", "a{b=~\"5..$\", c=\"\\\"WORD\"}"),
            (
                "label_replace(a, \"b\", \"$1\", \"c\", \"[[:alpha:]](.*)\")",
                "label_replace(a, \"b\", \"$1\", \"c\", \"[[:alpha:]](.*)\")",
            ),
        ] {
            let plain = plain.replace("LENGTH", &duration::print(VARIABLE)).replace("WORD", UNKNOWN);
            assert_eq!(without_variables(text), plain, "{text}");
        }
    }

    #[test]
    fn lengths_of_a_panel_s_own_are_divided_and_its_variables_left_alone() {
        let at = |text: &str, k| panel_query_at(text, Speed::new(k).unwrap()).unwrap();
        let own = r#"avg_over_time(up{job="app", instance=~"$instance"}[5m])"#;
        assert_eq!(at(own, 30), r#"avg_over_time(up{instance=~"$instance",job="app"}[10s])"#);
        for text in [own, "rate(a[5m])"] {
            assert_eq!(at(text, 1), text);
        }
        for text in [r#"rate(a{job=~"$job"}[$__rate_interval])"#, r#"sum by (job)  (a{job=~"$job"})"#] {
            assert_eq!(at(text, 30), text);
        }
    }

    #[test]
    fn a_length_beside_a_variable_that_is_no_text_is_divided_by_nobody_and_refused() {
        for text in [
            "rate(a[5m]) / rate(a[$__range])",
            "rate(a[5m]) * $__range_s",
            "rate(a[5m]) > $least",
            "topk($n, rate(a[5m]))",
            "sum by ($by) (rate(a[5m]))",
            "sum by (job) (rate(${metric}_total[5m]))",
            "max_over_time(rate(a[$__rate_interval])[1h:])",
            "max_over_time(a[$__range:15s])",
            "rate(a[$__rate_interval] offset 5m)",
            "rate(a[$__rate_interval] offset -5m)",
            "rate(a[$__rate_interval] @ end() offset 1m)",
            "rate(a[$__rate_interval]) / (a @ 1700000000 offset 1d)",
        ] {
            let refused = panel_query_at(text, Speed::new(30).unwrap());
            assert!(matches!(&refused, Err(why) if why[0].contains("literal range")), "{text}: {refused:?}");
            assert_eq!(panel_query_at(text, Speed::PRODUCTION).as_deref(), Ok(text));
        }
        // A moment is none, and neither is what Grafana fills in.
        for text in ["rate(a[$__rate_interval] @ 1700000000)", "rate(a[$__range] offset $ago) * $__range_s"] {
            assert_eq!(panel_query_at(text, Speed::new(30).unwrap()).as_deref(), Ok(text));
        }
    }
}
