//! Texts that mean one thing: an address, a range of days, a regular expression. What is none its program refuses.

use http::Uri;
use promql_parser::label::Matcher;
use promql_parser::parser::token::T_EQL_REGEX;

use crate::calendar_names::{MONTHS, WEEKDAYS};
use crate::monitoring::shape::{Calendar, Shape};

/// Why a text is not what it should be; what has nothing in it is as if it were not there.
pub(super) fn check(shape: &Shape, text: &str) -> Result<(), String> {
    match shape {
        Shape::OneOf(known) if !text.is_empty() && !known.contains(&text) => {
            Err(format!("`{text}` is none of {}", known.join(", ")))
        }
        Shape::Bytes if !is_bytes(text) => Err(format!("`{text}` is no number of bytes; write it like 10MB")),
        Shape::GoTime if !is_go_time(text) => {
            Err(format!("`{text}` is not a duration; here it is written like 1m30s or 1.5s, and the longest unit is h"))
        }
        Shape::CalendarRange(what) => range(*what, text),
        Shape::ClockTime if minutes(text).is_none() => {
            Err(format!("`{text}` is no time of the day; write it like 09:00"))
        }
        Shape::HostPort if !is_host_port(text) => {
            Err(format!("`{text}` is no host with its port; write it like mail.example.org:587"))
        }
        Shape::WebUrl if !is_web_url(text) => {
            Err(format!("`{text}` is no address to call; write it like https://example.org/path"))
        }
        Shape::Regex => Matcher::new_matcher(T_EQL_REGEX, String::new(), text.to_owned()).map(drop),
        _ => Ok(()),
    }
}

/// With units of 1024.
fn is_bytes(text: &str) -> bool {
    let units = ["B", "KB", "MB", "GB", "TB", "PB", "EB", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text.is_empty() || text == "0" || (text[..unit].parse::<f64>().is_ok() && units.contains(&&text[unit..]))
}

/// Go's own notation: fractions, and units from hours to nanoseconds.
fn is_go_time(text: &str) -> bool {
    let mut rest = text.trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"];
        let after = &rest[number..];
        let unit = unit.iter().filter(|unit| after.starts_with(**unit)).max_by_key(|unit| unit.len());
        let (Ok(_), Some(unit)) = (rest[..number].parse::<f64>(), unit) else { return false };
        rest = &after[unit.len()..];
    }
    !text.is_empty()
}

/// One of them, or the first and the last with a colon between.
fn range(what: Calendar, text: &str) -> Result<(), String> {
    let lower = text.to_lowercase();
    let number = |text: &str| text.parse::<i32>().ok();
    let named = |names: &[&str], text: &str| names.iter().position(|name| *name == text);
    let position = |text: &str| -> Option<i32> {
        match what {
            Calendar::Weekdays => i32::try_from(named(&WEEKDAYS, text)?).ok(),
            Calendar::DaysOfMonth => number(text).filter(|day| *day != 0 && (-31..=31).contains(day)),
            Calendar::Months => match named(&MONTHS, text) {
                Some(month) => i32::try_from(month + 1).ok(),
                None => number(text).filter(|month| (1..=12).contains(month)),
            },
            Calendar::Years => number(text),
        }
    };
    let (first, last) = lower.split_once(':').unwrap_or((&lower, &lower));
    let in_order = |first: i32, last: i32| match what {
        // From the end of the month on nobody knows how many days there are.
        Calendar::DaysOfMonth if (first < 0) != (last < 0) => first > 0,
        _ => first <= last,
    };
    match (position(first), position(last)) {
        (Some(first), Some(last)) if in_order(first, last) => Ok(()),
        (Some(_), Some(_)) => Err(format!("`{text}` ends before it begins")),
        _ => Err(format!("`{text}` is no range of {}", what.name())),
    }
}

impl Calendar {
    fn name(self) -> &'static str {
        match self {
            Calendar::Weekdays => "weekdays, like monday:friday",
            Calendar::DaysOfMonth => "days of a month, like 1:7 or -3:-1",
            Calendar::Months => "months, like may:august or 1:3",
            Calendar::Years => "years, like 2026:2028",
        }
    }
}

/// Since midnight.
fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && (hours < 24 || (hours, minutes) == (24, 0))).then_some(hours * 60 + minutes)
}

fn is_host_port(text: &str) -> bool {
    text.is_empty() || text.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty())
}

/// A template makes one, and Alertmanager's own print has a word in its place.
fn is_web_url(text: &str) -> bool {
    if text.is_empty() || text.contains("{{") || text == "<secret>" {
        return true;
    }
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ["http", "https"].contains(&scheme.to_lowercase().as_str())
        && !authority.is_empty()
        && format!("http://{authority}/")
            .parse::<Uri>()
            .is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_its_program_takes() {
        use Calendar::{DaysOfMonth, Months, Weekdays, Years};
        let rows: [(Shape, &[&str], &[&str]); 10] = [
            (Shape::OneOf(&["keep", "drop"]), &["keep", ""], &["keeps", "drop ", "DROP"]),
            (Shape::Bytes, &["0", "", "10MB", "1.5GiB", "100B"], &["100", "MB", "10mb", "-1MB"]),
            (Shape::GoTime, &["1s", "1.5s", "1m0s", "0", "2h45m", "100ms"], &["1d", "5", "s", "", "1 s"]),
            (
                Shape::CalendarRange(Weekdays),
                &["monday", "Monday:Friday", "sunday:saturday"],
                &["mon", "friday:monday", ""],
            ),
            (Shape::CalendarRange(DaysOfMonth), &["1", "1:31", "-3:-1", "15:-1"], &["0", "32", "7:1", "-1:-3", "-1:3"]),
            (Shape::CalendarRange(Months), &["1:12", "may", "may:august", "5:august"], &["13", "august:may", "mai"]),
            (Shape::CalendarRange(Years), &["2026", "2026:2030"], &["x", "2030:2026"]),
            (Shape::ClockTime, &["00:00", "09:30", "24:00"], &["9:30", "24:01", "12:60", "noon", "12.30"]),
            (Shape::HostPort, &["", "localhost:25", "[::1]:25", ":25"], &["localhost", "localhost:"]),
            (
                Shape::WebUrl,
                &["http://a", "https://a.b:1/c?d=e", "HTTP://a", "<secret>", "{{ .X }}", "http://u:p@a/"],
                &["a", "a:80/b", "ftp://a", "http://", "https:///a"],
            ),
        ];
        for (shape, right, wrong) in rows {
            for text in right {
                assert_eq!(check(&shape, text), Ok(()), "{shape:?}");
            }
            for text in wrong {
                assert!(check(&shape, text).is_err(), "{shape:?} {text}");
            }
        }
        assert!(check(&Shape::Regex, "a(b").is_err() && check(&Shape::Regex, "a.*").is_ok());
    }
}
