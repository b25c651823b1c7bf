//! A panel's query, which is an expression only once Grafana has filled in its variables: what can be known of it before, and what
//! it asks at a stack's speed.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use promql_parser::parser::Expr;

use super::memo::Memo;
use super::promql;
use super::variables::{Reference, names, reference};
use aiclipx_base::duration::{self, DurationError, Speed};

/// A panel's query as a stack of that speed is asked it: the lengths it has of its own are divided, and its variables stand where
/// they stood. What is an expression neither as it stands nor with its variables filled in is refused: nobody could say what in
/// it is a length.
pub fn panel_query_at(text: &str, speed: Speed) -> Result<String, Vec<String>> {
    if speed == Speed::PRODUCTION {
        return Ok(text.to_owned());
    }
    if let Ok(mut tree) = promql::parse(text) {
        return if promql::durations(&tree).is_empty() {
            Ok(text.to_owned())
        } else {
            promql::divide(&mut tree, speed).map(|()| promql::print(&tree))
        };
    }
    let Some((mut tree, mut stood)) = with_tokens(text, &|at, place| token(at, place, speed.factor())) else {
        return Err(vec!["not an expression, with its variables filled in: what in it is a length?".to_owned()]);
    };
    // Of lengths, what their stand-ins are divided is looked for.
    for (at, token_of) in stood.iter_mut().enumerate().filter(|(_, one)| one.place == Place::Length) {
        token_of.token = token(at, Place::Length, 1);
    }
    let stands_in = |length: &Duration| stood.iter().any(|one| one.token == duration::print(*length / speed.factor()));
    if promql::durations(&tree).iter().all(stands_in) {
        return Ok(text.to_owned());
    }
    promql::divide(&mut tree, speed)?;
    let mut printed = promql::print(&tree);
    for one in stood.iter().filter(|one| one.place != Place::Quoted) {
        if printed.matches(&one.token).count() != 1 {
            let written = one.written;
            return Err(vec![format!("a literal range beside `{written}`, which can't be told from it once divided")]);
        }
        printed = printed.replacen(&one.token, one.written, 1);
    }
    Ok(printed)
}

/// A least step of a panel or a query at a speed, in whole seconds and upwards as a data source's own: below it there is nothing to
/// see. A number is one of seconds; what a variable stands for is divided with it.
pub fn panel_step_at(text: &str, speed: Speed) -> Result<String, DurationError> {
    let bare = text.trim_start_matches(['>', '=']).trim();
    if speed == Speed::PRODUCTION || bare.is_empty() || names(text).next().is_some() {
        return Ok(text.to_owned());
    }
    let seconds = bare.parse::<u32>().map(|seconds| format!("{seconds}s"));
    let step = duration::parse(seconds.as_deref().unwrap_or(bare))?;
    Ok(format!("{}s", duration::whole_seconds(step / speed.factor()).as_secs()))
}

/// How far back a panel looks by itself, `1h` or `now-1h`, at a speed.
pub fn panel_range_at(text: &str, speed: Speed) -> Result<String, DurationError> {
    let bare = text.trim_start_matches("now").trim_start_matches('-');
    let before = &text[..text.len() - bare.len()];
    if bare.is_empty() { Ok(text.to_owned()) } else { Ok(before.to_owned() + &length_at(bare, speed)?) }
}

/// A value of a variable by which queries look back, at a speed. What Grafana computes stays: it follows the range shown and the
/// data source's interval, as a variable in it does.
pub fn length_at(value: &str, speed: Speed) -> Result<String, DurationError> {
    if speed == Speed::PRODUCTION || value.contains('$') || ["", "auto", "All"].contains(&value) {
        return Ok(value.to_owned());
    }
    Ok(duration::print(speed.real(duration::parse(value)?)?))
}

/// The variables that stand in a query for a length of time: a range, a step, an offset.
pub fn lengths_in(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    fill(text, &mut |one, place| {
        if place == Place::Length {
            names.insert(one.name);
        }
        duration::print(VARIABLE)
    });
    names
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
    let token = |_, place| match place {
        Place::Length => duration::print(VARIABLE),
        Place::Number => "1".to_owned(),
        Place::Word | Place::Quoted | Place::Unclear => UNKNOWN.to_owned(),
    };
    FILLED.get(text.as_bytes(), || {
        let found = readings(text).find_map(|numbers| {
            let filled = tokens(text, numbers, &token, true).0;
            promql::parse(&filled).is_ok().then_some(filled)
        });
        found.unwrap_or_else(|| tokens(text, 0, &token, true).0)
    })
}

/// What a variable of a query stands for, as far as its place tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Of time.
    Length,
    /// A name, or a part of one.
    Word,
    /// In a text in quotes.
    Quoted,
    Number,
    /// A number or a word.
    Unclear,
}

/// A variable and what stands for it.
struct Stood<'a> {
    token: String,
    written: &'a str,
    place: Place,
}

/// What stands for the variable of this number, each in a way of its own and none the beginning of another.
fn token(at: usize, place: Place, factor: u32) -> String {
    let number = u32::try_from(at).unwrap_or(u32::MAX);
    match place {
        // Never a whole second, which would be the beginning of those that follow it.
        Place::Length => duration::print((VARIABLE + Duration::from_secs(u64::from(number))) * factor),
        Place::Number => (987_600_000 + u64::from(number)).to_string(),
        Place::Word | Place::Quoted | Place::Unclear => format!("{UNKNOWN}_{at}_"),
    }
}

/// A query's tree with stand-ins for its variables; what is in quotes stays as it stands.
fn with_tokens<'a>(text: &'a str, token: &dyn Fn(usize, Place) -> String) -> Option<(Expr, Vec<Stood<'a>>)> {
    readings(text).find_map(|numbers| {
        let (filled, stood) = tokens(text, numbers, token, false);
        promql::parse(&filled).ok().map(|tree| (tree, stood))
    })
}

/// Variables whose place leaves open whether they are numbers; of more, all are taken for the same.
const MOST_UNCLEAR: usize = 5;

/// Which of the unclear variables are tried as numbers, as bits: all of them first, none of them last.
fn readings(text: &str) -> impl Iterator<Item = u64> {
    let mut unclear = 0;
    fill(text, &mut |_, place| {
        unclear += usize::from(place == Place::Unclear);
        UNKNOWN.to_owned()
    });
    let between = if unclear <= MOST_UNCLEAR { (1_u64 << unclear).saturating_sub(1) } else { 1 };
    std::iter::once(u64::MAX).chain((0..between).rev())
}

/// A query with its variables replaced.
fn tokens<'a>(
    text: &'a str,
    numbers: u64,
    token: &dyn Fn(usize, Place) -> String,
    in_quotes: bool,
) -> (String, Vec<Stood<'a>>) {
    let mut stood: Vec<Stood> = Vec::new();
    let mut unclear = 0_u32;
    let filled = fill(text, &mut |one, place| {
        let place = if place == Place::Unclear {
            unclear += 1;
            let is_number = numbers.checked_shr(unclear - 1).unwrap_or(numbers) & 1 == 1;
            if is_number { Place::Number } else { Place::Word }
        } else {
            place
        };
        let stays = place == Place::Quoted && !in_quotes;
        let token = if stays { one.written.to_owned() } else { token(stood.len(), place) };
        stood.push(Stood { token: token.clone(), written: one.written, place });
        token
    });
    (filled, stood)
}

/// An expression with its variables filled in, each by what its place tells.
fn fill<'a>(text: &'a str, stand_in: &mut dyn FnMut(Reference<'a>, Place) -> String) -> String {
    let mut filled = String::new();
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let Some(mut one) = reference(rest).filter(|one| !one.name.starts_with(|c: char| c.is_ascii_digit())) else {
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
        let place = place(&filled, quote.is_some(), one.name, &rest[one.written.len()..]);
        if place == Place::Length {
            // A number with its unit behind it: `${__range_s}s`.
            let behind = &rest[one.written.len()..];
            let unit = behind.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(behind.len());
            one.written = &rest[..one.written.len() + unit];
        }
        filled.push_str(&stand_in(one, place));
        rest = &rest[one.written.len()..];
    }
    filled
}

/// What a variable stands for between what is before it, filled in, and what follows.
fn place(before: &str, is_quoted: bool, name: &str, after: &str) -> Place {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_open = |open, close| before.rfind(open) > before.rfind(close);
    if is_quoted {
        return Place::Quoted;
    }
    if is_open('[', ']')
        || before.trim_end().ends_with("offset")
        || ["__rate_interval", "__interval", "__range"].contains(&name)
    {
        return Place::Length;
    }
    let is_label = || {
        let before = before.rfind('(').map_or("", |at| before[..at].trim_end());
        let lists = ["by", "without", "on", "ignoring", "group_left", "group_right"];
        is_open('(', ')') && lists.iter().any(|list| before.ends_with(list))
    };
    let is_word = after.starts_with(|c| is_part(c) || c == '{' || c == '[')
        || before.ends_with(is_part)
        || is_open('{', '}')
        || is_label();
    if is_word { Place::Word } else { Place::Unclear }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_what_can_stand_there() {
        for (text, plain) in [
            ("rate(a[$__rate_interval])", "rate(a[LENGTH])"),
            ("rate(a[${window}] offset $ago)", "rate(a[LENGTH] offset LENGTH)"),
            ("rate(a[${__range_s}s])", "rate(a[LENGTH])"),
            ("sum by ($by, ${one:csv}) (a)", "sum by (WORD, WORD) (a)"),
            ("histogram_quantile($q, sum by (le, $by) (a))", "histogram_quantile(1, sum by (le, WORD) (a))"),
            ("sum($metric)", "sum(WORD)"),
            ("topk($n, sum($metric)) > $least", "topk(1, sum(WORD)) > 1"),
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
        for text in [
            r#"rate(a{job=~"$job"}[$__rate_interval])"#,
            r#"sum by (job)  (a{job=~"$job"})"#,
            "rate(a[$__rate_interval] @ 1700000000)",
            "rate(a[$__range] offset $ago) * $__range_s",
        ] {
            assert_eq!(at(text, 30), text);
        }
    }

    #[test]
    fn lengths_beside_a_variable_that_is_no_text_are_divided_and_it_stands_where_it_stood() {
        for (text, divided) in [
            ("rate(a[5m]) / rate(a[$__range])", "rate(a[10s]) / rate(a[$__range])"),
            ("rate(a[5m]) * $__range_s", "rate(a[10s]) * $__range_s"),
            ("rate(a[5m]) > $least", "rate(a[10s]) > $least"),
            ("topk($n, rate(a[5m]))", "topk($n, rate(a[10s]))"),
            ("topk($n, rate($metric[5m]))", "topk($n, rate($metric[10s]))"),
            ("sum by ($by, ${by}) (rate(a[5m]))", "sum by ($by, ${by}) (rate(a[10s]))"),
            ("sum by (job) (rate(${metric}_total[5m]))", "sum by (job) (rate(${metric}_total[10s]))"),
            ("sum(rate(a[$i])) + sum(rate(a[$i] offset 1h))", "sum(rate(a[$i])) + sum(rate(a[$i] offset 2m))"),
            ("max_over_time(rate(a[$__rate_interval])[1h:])", "max_over_time(rate(a[$__rate_interval])[2m:])"),
            ("max_over_time(a[${__range_s}s:15s])", "max_over_time(a[${__range_s}s:500ms])"),
            ("rate(a[$__rate_interval] offset -5m)", "rate(a[$__rate_interval] offset -10s)"),
            (r#"rate(a{job=~"$job",$label="[[x]]"}[5m])"#, r#"rate(a{job=~"$job",$label="[[x]]"}[10s])"#),
        ] {
            let at = panel_query_at(text, Speed::new(30).unwrap());
            let without_layout = |text: &str| text.replace(' ', "");
            assert_eq!(at.map(|text| without_layout(&text)), Ok(without_layout(divided)), "{text}");
            assert_eq!(panel_query_at(text, Speed::PRODUCTION).as_deref(), Ok(text));
        }
        let all: Vec<String> = (0..40).map(|at| format!("rate(a[$v{at}]) * $n{at}")).collect();
        let divided = panel_query_at(&format!("{} + rate(b[5m])", all.join(" + ")), Speed::new(30).unwrap()).unwrap();
        assert!((0..40).all(|at| divided.contains(&format!("[$v{at}]")) && divided.contains(&format!("* $n{at} +"))));
        assert!(divided.contains("[10s]"), "{divided}");
    }

    #[test]
    fn what_can_t_be_divided_is_refused_at_a_speed_and_only_there() {
        for (text, why) in [
            ("rate(a[100ms]) > $least", "whole number of milliseconds"),
            ("rate(a[5m]) $operator 3", "not an expression"),
        ] {
            let refused = panel_query_at(text, Speed::new(30).unwrap());
            assert!(matches!(&refused, Err(told) if told[0].contains(why)), "{text}: {refused:?}");
            assert_eq!(panel_query_at(text, Speed::PRODUCTION).as_deref(), Ok(text));
        }
    }

    #[test]
    fn steps_are_divided_to_whole_seconds_and_ranges_and_values_to_what_they_are() {
        let speed = Speed::new(30).unwrap();
        for (text, divided) in [("1m", "2s"), ("10s", "1s"), (">=5m", "10s"), ("90", "3s"), ("$i", "$i"), ("", "")] {
            assert_eq!(panel_step_at(text, speed).as_deref(), Ok(divided), "{text}");
            assert_eq!(panel_step_at(text, Speed::PRODUCTION).as_deref(), Ok(text));
        }
        assert!(panel_step_at("soon", speed).is_err());
        for (text, divided) in [("1h", "2m"), ("now-1d", "now-48m"), ("", "")] {
            assert_eq!(panel_range_at(text, speed).as_deref(), Ok(divided), "{text}");
            assert_eq!(panel_range_at(text, Speed::PRODUCTION).as_deref(), Ok(text));
        }
        assert!(panel_range_at("1s", speed).is_err() && panel_range_at("1d/d", speed).is_err());
        for (value, divided) in [("5m", "10s"), ("$__auto_interval_i", "$__auto_interval_i"), ("All", "All")] {
            assert_eq!(length_at(value, speed).as_deref(), Ok(divided), "{value}");
        }
        assert!(length_at("10s", speed).is_err() && length_at("7", speed).is_err());
    }

    #[test]
    fn what_stands_for_a_length_is_told_by_its_place() {
        let of = |text: &'static str| lengths_in(text).into_iter().collect::<Vec<_>>();
        assert_eq!(of("rate(a{b=\"$c\"}[$window:${step}] offset $ago) * $n"), ["ago", "step", "window"]);
        assert_eq!(of("sum by ($by) ($metric{x=\"[$y\"})"), [] as [&str; 0]);
    }
}
