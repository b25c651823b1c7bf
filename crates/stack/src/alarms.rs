//! What the monitoring says at this moment: the alerts that are active, as Prometheus has them, and the silences that are set, as
//! Alertmanager has them. Asked, and told as a table below that of `status`; nothing is decided here.
//!
//! The Watchdog always fires, so that it does is no news, and that it does not is. Who does not answer in time is said not to.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::stack::Stack;
use super::table::Paint;
use crate::prom::client::{ActiveAlert, Api, Silence};
use aiclipx_model::failure::visible;
use aiclipx_model::monitoring::WATCHDOG;

/// One look. `status` is typed by somebody who waits.
const LIMIT: Duration = Duration::from_secs(2);
/// More is no overview.
const MOST_ROWS: usize = 20;
/// A name longer than this moves what follows it.
const NAME_WIDTH: usize = 38;

/// What was answered, or that nothing was, in words.
#[derive(Debug)]
pub struct Alarms {
    at: Timestamp,
    alerts: Result<Vec<ActiveAlert>, String>,
    silences: Result<Vec<Silence>, String>,
}

impl Stack {
    /// Which alerts are active, and which silences are set.
    pub async fn alarms(&self) -> Alarms {
        let addresses = &self.plan().addresses;
        let (prometheus, alertmanager) =
            (Api::within(&addresses.prometheus, LIMIT), Api::within(&addresses.alertmanager, LIMIT));
        let (alerts, silences) = tokio::join!(prometheus.active_alerts(), alertmanager.silences());
        Alarms {
            at: Timestamp::now(),
            alerts: alerts.map_err(|error| format!("{error:#}")),
            silences: silences.map_err(|error| format!("{error:#}")),
        }
    }
}

impl Alarms {
    /// The tables, each line ended; what is none is told in a line.
    pub fn table(&self, paint: Paint) -> String {
        format!("{}{}", self.alerts(paint), self.silences(paint))
    }

    fn alerts(&self, paint: Paint) -> String {
        let all = match &self.alerts {
            Ok(all) => all,
            Err(why) => return unknown("alerts", "Prometheus", why, paint),
        };
        let (watchdog, mut others): (Vec<_>, Vec<_>) = all.iter().partition(|alert| alert.name() == WATCHDOG);
        let is_firing = |alert: &ActiveAlert| alert.state == "firing";
        let watched = watchdog.iter().any(|alert| is_firing(alert));
        if others.is_empty() {
            return if watched {
                format!("  {} no alert but the Watchdog, which always fires\n", paint.ok("●"))
            } else {
                format!("  {} no alert fires, and the Watchdog ought to\n", paint.warn("◐"))
            };
        }
        // What fires before what may; then by name.
        others.sort_by_key(|alert| (!is_firing(alert), alert.name()));
        let mut text = header(["alert", "state", "since", "of"], paint);
        for alert in others.iter().take(MOST_ROWS) {
            let (sign, state) = match alert.state.as_str() {
                "firing" => (paint.error("✗"), paint.error(&format!("{:<9}", "firing"))),
                state => (paint.warn("◐"), paint.warn(&format!("{state:<9}"))),
            };
            let since = alert.active_at.parse().map_or_else(|_| String::new(), |since| clock(since, self.at));
            let of = ["severity", "job", "instance", "integration", "component"];
            let of = of.iter().filter_map(|label| alert.labels.get(*label)).map(|value| visible(value));
            let of = of.collect::<Vec<_>>().join(" · ");
            let _ = writeln!(text, "  {sign} {:<NAME_WIDTH$} {state} {since:>8}   {of}", visible(alert.name()));
        }
        rest(&mut text, others.len(), paint);
        if !watched {
            let _ = writeln!(text, "  {} the Watchdog ought to fire, and does not", paint.warn("◐"));
        }
        text
    }

    fn silences(&self, paint: Paint) -> String {
        let all = match &self.silences {
            Ok(all) => all,
            Err(why) => return unknown("silences", "Alertmanager", why, paint),
        };
        let mut set: Vec<&Silence> = all.iter().filter(|silence| silence.state() != "expired").collect();
        if set.is_empty() {
            return format!("  {} no silence is set\n", paint.ok("●"));
        }
        let ends = |silence: &Silence| silence.ends_at.parse::<Timestamp>().ok();
        set.sort_by_key(|silence| ends(silence));
        let mut text = header(["silence", "state", "left", "by"], paint);
        for silence in set.iter().take(MOST_ROWS) {
            let state = paint.warn(&format!("{:<9}", visible(silence.state())));
            let left = ends(silence).map_or_else(String::new, |end| clock(self.at, end));
            let by = visible(&format!("{}: {}", silence.created_by, silence.comment));
            let of = visible(&silence.matchers());
            let _ = writeln!(text, "  {} {of:<NAME_WIDTH$} {state} {left:>8}   {by}", paint.warn("◌"));
        }
        rest(&mut text, set.len(), paint);
        text
    }
}

fn header([name, state, time, remark]: [&str; 4], paint: Paint) -> String {
    let line = format!("    {name:<NAME_WIDTH$} {state:<9} {time:>8}   {remark}");
    format!("{}\n", paint.dim(&line))
}

fn unknown(what: &str, who: &str, why: &str, paint: Paint) -> String {
    format!("  {} which {what} there are is not known: {who} does not tell ({})\n", paint.error("✗"), visible(why))
}

fn rest(text: &mut String, rows: usize, paint: Paint) {
    if let Some(more) = rows.checked_sub(MOST_ROWS).filter(|more| *more > 0) {
        let _ = writeln!(text, "    {}", paint.dim(&format!("and {more} more")));
    }
}

/// From one moment to another, as `0:01:07`, like the uptime beside it; nothing where the second is the earlier.
fn clock(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarms(alerts: &str, silences: &str) -> Alarms {
        Alarms {
            at: "2026-11-30T12:01:07Z".parse().unwrap(),
            alerts: Ok(serde_json::from_str(alerts).unwrap()),
            silences: Ok(serde_json::from_str(silences).unwrap()),
        }
    }

    fn alert(name: &str, state: &str, of: &str) -> String {
        let labels = format!(r#"{{"alertname":"{name}","severity":"warning","job":"{of}"}}"#);
        format!(
            r#"{{"labels":{labels},"annotations":{{}},"state":"{state}","activeAt":"2026-11-30T12:00:00.5Z","value":"1"}}"#
        )
    }

    fn silence(state: &str, ends: &str) -> String {
        format!(
            r#"{{"id":"1","status":{{"state":"{state}"}},"startsAt":"2026-11-30T12:00:00Z","endsAt":"{ends}",
            "updatedAt":"2026-11-30T12:00:00Z","createdBy":"ann","comment":"we\nknow\u001b[2J\u202e",
            "matchers":[{{"name":"alertname","value":"AppDown","isRegex":false,"isEqual":true}},
            {{"name":"job","value":"a.*","isRegex":true,"isEqual":false}}]}}"#
        )
    }

    #[test]
    fn what_fires_is_told_first_with_since_when_and_of_what() {
        let told = ["Watchdog", "AppZ", "AppA"]
            .map(|name| alert(name, if name == "AppA" { "pending" } else { "firing" }, "app"));
        let text = alarms(&format!("[{}]", told.join(",")), "[]").table(Paint(false));
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["alert", "state", "since", "of"]);
        assert_eq!(words[1], ["✗", "AppZ", "firing", "0:01:07", "warning", "·", "app"]);
        assert_eq!(words[2], ["◐", "AppA", "pending", "0:01:07", "warning", "·", "app"]);
        assert_eq!(words[3].join(" "), "● no silence is set");
        let column = |line: &str, word: &str| line.split(word).next().unwrap().chars().count();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(column(lines[0], "of"), column(lines[1], "warning"), "{text}");
    }

    #[test]
    fn that_nothing_fires_is_told_and_so_is_a_watchdog_that_does_not() {
        let none = |alerts: &str| alarms(alerts, "[]").table(Paint(false));
        assert!(
            none(&format!("[{}]", alert("Watchdog", "firing", "")))
                .starts_with("  ● no alert but the Watchdog, which always fires\n")
        );
        for no_news in ["[]".to_owned(), format!("[{}]", alert("Watchdog", "pending", ""))] {
            assert!(none(&no_news).starts_with("  ◐ no alert fires, and the Watchdog ought to\n"), "{no_news}");
        }
        assert!(
            none(&format!("[{}]", alert("AppDown", "firing", "app"))).contains("Watchdog ought to fire, and does not")
        );
    }

    #[test]
    fn silences_that_are_over_are_not_told_and_no_word_of_theirs_is_obeyed() {
        let silences = [("expired", "2026-11-30T12:01:00Z"), ("active", "2026-11-30T14:01:07Z")];
        let silences = silences.map(|(state, ends)| silence(state, ends)).join(",");
        let text = alarms("[]", &format!("[{silences}]")).table(Paint(false));
        let line = text.lines().last().unwrap();
        assert!(line.starts_with("  ◌ alertname=AppDown job!~a.* "), "{line}");
        assert!(line.ends_with("active     2:00:00   ann: we\\nknow\\u{1b}[2J\\u{202e}"), "{line}");
        assert!(!text.contains("expired") && !text.contains(['\x1b', '\u{202e}']), "{text}");
    }

    #[test]
    fn more_than_can_be_looked_over_is_a_number() {
        let many: Vec<String> = (0..23).map(|number| alert(&format!("A{number:02}"), "firing", "app")).collect();
        let text = alarms(&format!("[{}]", many.join(",")), "[]").table(Paint(false));
        assert!(text.contains("A19") && !text.contains("A20") && text.contains("and 3 more"), "{text}");
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let mut alarms = alarms("[]", "[]");
        alarms.alerts = Err("GET http://127.0.0.1:9090/api/v1/alerts: no answer within 2s".to_owned());
        let text = alarms.table(Paint(true));
        assert!(
            text.contains("\x1b[31m✗") && text.contains("which alerts there are is not known: Prometheus"),
            "{text}"
        );
        assert!(text.contains("no silence is set"), "{text}");
    }
}
