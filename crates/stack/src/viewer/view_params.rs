//! What an address asks to see: range, refresh, variables, one panel or all, which rows are folded.
//!
//! Grafana's parameters (`from`, `to`, `refresh`, `viewPanel`, `var-NAME`), so that links made for it work here; and one
//! of our own, `row-ID=open|folded`. Others are none of our business and ignored. Pure: the time is handed in.

use std::collections::BTreeMap;
use std::time::Duration;

use aiclipx_base::duration;
use aiclipx_dashboard::model::{ALL, Dashboard, Panel};
use aiclipx_dashboard::query::TimeRange;
use aiclipx_model::prom::answer::percent_encoded;
use percent_encoding::percent_decode_str;

/// Beyond it no calendar goes: the end of the year 9999, in Unix milliseconds.
const LAST_MILLIS: i64 = 253_402_300_799_999;
/// Drawing anew more often than that would only heat the machine.
const LEAST_REFRESH: Duration = Duration::from_secs(1);

/// What is to be seen, and the parameters that say it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ViewParams {
    /// In the order they are written, names unique but for variables' values.
    parameters: Vec<(String, String)>,
    /// As asked for, or the dashboard's own: `now-15m`, `now`.
    pub(super) from: String,
    /// See `from`.
    pub(super) to: String,
    /// The dashboard's own `from`, where a later one is shown instead.
    pub(super) shortened_from: Option<String>,
    /// The same in numbers.
    pub(super) range: TimeRange,
    /// Drawn anew after so long; never when nothing new can come.
    pub(super) refresh: Option<Duration>,
    /// This panel alone.
    pub(super) panel: Option<u32>,
    /// Variables by name.
    pub(super) chosen: BTreeMap<String, Vec<String>>,
}

impl ViewParams {
    /// Reads the part of an address behind the question mark, or says what in it can't be meant.
    pub(super) fn read(query: &str, dashboard: &Dashboard, now_millis: i64) -> Result<ViewParams, String> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        let mut chosen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name), decoded(value));
            if let Some(variable) = name.strip_prefix("var-") {
                let value = if value == "All" { ALL.to_owned() } else { value };
                chosen.entry(variable.to_owned()).or_default().push(value.clone());
                parameters.push((name, value));
            } else if !parameters.iter().any(|(known, _)| *known == name) {
                parameters.push((name, value));
            }
        }
        let given = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let or = |given: Option<&str>, default: &str, last: &str| {
            given
                .filter(|text| !text.is_empty())
                .or(Some(default).filter(|text| !text.is_empty()))
                .unwrap_or(last)
                .to_owned()
        };
        let from = or(given("from"), &dashboard.range.0, "now-1h");
        let to = or(given("to"), &dashboard.range.1, "now");
        let range = TimeRange { from_millis: moment(&from, now_millis)?, to_millis: moment(&to, now_millis)? };
        if range.from_millis >= range.to_millis {
            return Err(format!("the range from `{from}` to `{to}` is empty"));
        }
        let refresh = match given("refresh").unwrap_or(&dashboard.refresh) {
            "" | "off" | "false" => None,
            text => Some(duration::parse(text).map_err(|error| format!("refresh: {error}"))?.max(LEAST_REFRESH)),
        };
        // Grafana 11 writes `panel-3`.
        let panel = match given("viewPanel").filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let id = text.strip_prefix("panel-").unwrap_or(text);
                Some(id.parse().map_err(|_| format!("`{text}` is no panel's id"))?)
            }
        };
        let refresh = refresh.filter(|_| to.starts_with("now"));
        Ok(ViewParams { parameters, from, to, shortened_from: None, range, refresh, panel, chosen })
    }

    /// Whether the range is the dashboard's own, up to now.
    pub(super) fn is_the_dashboards(&self) -> bool {
        self.given("from").is_none() && self.given("to").is_none() && self.to == "now"
    }

    /// The same, since so long ago (`1h`).
    pub(super) fn shortened(self, ago: &str, now_millis: i64) -> ViewParams {
        let from = format!("now-{ago}");
        let Ok(from_millis) = moment(&from, now_millis) else { return self };
        let range = TimeRange { from_millis, ..self.range };
        ViewParams { shortened_from: Some(self.from), from, range, ..self }
    }

    fn given(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a row's panels are out of sight.
    pub(super) fn is_folded(&self, row: &Panel) -> bool {
        match self.given(&format!("row-{}", row.id)) {
            Some("open") => false,
            Some("folded") => true,
            _ => row.folded,
        }
    }

    /// Whether the range goes with the clock.
    pub(super) fn is_live(&self) -> bool {
        self.to.starts_with("now")
    }

    /// The address of the same look with these parameters set, or, where a value is empty, left to the dashboard.
    pub(super) fn address(&self, uid: &str, changes: &[(&str, &str)]) -> String {
        let kept = self.parameters.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let set = changes.iter().copied().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = kept
            .chain(set)
            .map(|(name, value)| format!("{}={}", percent_encoded(name), percent_encoded(value)))
            .collect();
        let path = format!("/d/{}", percent_encoded(uid));
        if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) }
    }

    /// A panel's link with the range that is shown in it.
    pub(super) fn filled_in(&self, url: &str) -> String {
        let TimeRange { from_millis, to_millis } = self.range;
        let range = format!("from={}&to={}", percent_encoded(&self.from), percent_encoded(&self.to));
        url.replace("${__url_time_range}", &range)
            .replace("${__from}", &from_millis.to_string())
            .replace("${__to}", &to_millis.to_string())
    }

    /// What a form that chooses variables must carry along, as hidden fields.
    pub(super) fn carried(&self) -> impl Iterator<Item = &(String, String)> {
        self.parameters.iter().filter(|(name, _)| !name.starts_with("var-"))
    }

    /// The address of the range moved by a share of its own length: −0.5 is half a range earlier.
    pub(super) fn moved(&self, uid: &str, share: f64) -> String {
        let length = self.range.to_millis - self.range.from_millis;
        // Milliseconds of a shown range: exact as a float, and back.
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let by = (length as f64 * share) as i64;
        let (from, to) = (self.range.from_millis + by, self.range.to_millis + by);
        self.address(uid, &[("from", &from.max(0).to_string()), ("to", &to.max(length).to_string())])
    }

    /// The address of twice the range around the same middle, or, of a live one, up to now.
    pub(super) fn wider(&self, uid: &str) -> String {
        let length = self.range.to_millis - self.range.from_millis;
        if self.is_live() {
            let from = format!("now-{}", duration::print(Duration::from_millis(length.unsigned_abs() * 2)));
            return self.address(uid, &[("from", &from)]);
        }
        let (from, to) = (self.range.from_millis - length / 2, self.range.to_millis + length / 2);
        self.address(uid, &[("from", &from.max(0).to_string()), ("to", &to.min(LAST_MILLIS).to_string())])
    }
}

/// A time as Grafana's addresses write it: `now`, `now-15m`, Unix milliseconds, or RFC 3339.
fn moment(text: &str, now_millis: i64) -> Result<i64, String> {
    let error = || format!("`{text}` is no time; write it like now-15m, in Unix milliseconds, or 2026-01-31T12:00:00Z");
    let millis = if let Some(rest) = text.strip_prefix("now") {
        match rest.strip_prefix('-') {
            None if rest.is_empty() => now_millis,
            None => return Err(error()),
            Some(ago) => {
                let ago = duration::parse(ago).map_err(|_| error())?;
                now_millis.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))
            }
        }
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| error())?
    } else {
        text.parse::<jiff::Timestamp>().map_err(|_| error())?.as_millisecond()
    };
    if (0..=LAST_MILLIS).contains(&millis) { Ok(millis) } else { Err(error()) }
}

/// A part of an address as text; what is no UTF-8 is replaced.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_795_000_000_000;

    fn dashboard() -> Dashboard {
        let text = r#"{"uid": "a-b", "title": "A", "refresh": "10s", "time": {"from": "now-15m", "to": "now"},
            "panels": [{"id": 3, "type": "stat", "title": "", "targets": []},
                       {"id": 4, "type": "row", "title": "", "collapsed": true, "panels": []}]}"#;
        aiclipx_dashboard::model::read(std::path::Path::new("a.json"), text).unwrap()
    }

    fn look(query: &str) -> Result<ViewParams, String> {
        ViewParams::read(query, &dashboard(), NOW)
    }

    #[test]
    fn without_parameters_it_is_as_the_dashboard_says() {
        let look = look("").unwrap();
        assert_eq!(look.range, TimeRange { from_millis: NOW - 900_000, to_millis: NOW });
        assert_eq!((look.refresh, look.panel), (Some(Duration::from_secs(10)), None));
        assert!(look.is_folded(dashboard().panel(4).unwrap()));
        assert_eq!(look.address("a-b", &[]), "/d/a-b");
    }

    #[test]
    fn grafanas_parameters_mean_here_what_they_mean_there() {
        let look = look(
            "orgId=1&viewPanel=panel-3&from=1794999000000&to=now-5m&refresh=100ms&var-j=x+y&var-j=z%26&row-4=open",
        )
        .unwrap();
        assert_eq!(look.range, TimeRange { from_millis: 1_794_999_000_000, to_millis: NOW - 300_000 });
        assert_eq!((look.refresh, look.panel), (Some(LEAST_REFRESH), Some(3)));
        assert_eq!(look.chosen["j"], ["x y", "z&"]);
        assert!(!look.is_folded(dashboard().panel(4).unwrap()));
        let address = look.address("a-b", &[("viewPanel", ""), ("from", "now-1h"), ("to", "now")]);
        assert_eq!(address, "/d/a-b?orgId=1&refresh=100ms&var-j=x%20y&var-j=z%26&row-4=open&from=now-1h&to=now");
        assert_eq!(ViewParams::read("var-j=All", &dashboard(), NOW).unwrap().chosen["j"], ["$__all"]);
    }

    #[test]
    fn a_range_in_the_past_is_not_drawn_anew() {
        let look = look("from=2026-11-20T00:00:00Z&to=2026-11-20T01:00:00Z").unwrap();
        assert_eq!((look.range.length(), look.refresh), (Duration::from_hours(1), None));
        assert_eq!(look.wider("u"), "/d/u?from=1795131000000&to=1795138200000");
    }

    #[test]
    fn ranges_move_and_widen() {
        let range = |query: &str| look(query.split_once('?').unwrap().1).unwrap().range;
        let past = look("from=1000000&to=2000000").unwrap();
        assert_eq!(range(&past.moved("u", -0.5)), TimeRange { from_millis: 500_000, to_millis: 1_500_000 });
        assert_eq!(range(&past.moved("u", -5.0)), TimeRange { from_millis: 0, to_millis: 1_000_000 });
        assert_eq!(range(&past.wider("u")), TimeRange { from_millis: 500_000, to_millis: 2_500_000 });
        assert_eq!(range(&look("").unwrap().wider("u")), TimeRange { from_millis: NOW - 1_800_000, to_millis: NOW });
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (query, told) in [
            ("from=yesterday", "`yesterday` is no time"),
            ("from=now%2B1h", "`now+1h` is no time"),
            ("from=now/d", "no time"),
            ("to=99999999999999999", "no time"),
            ("from=now&to=now-5m", "is empty"),
            ("refresh=often", "refresh"),
            ("viewPanel=x", "`x` is no panel's id"),
        ] {
            let error = look(query).expect_err(query);
            assert!(error.contains(told), "{query}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_address_is_read_or_refused(query in "[%&=+a-zA-Z0-9:./-]{0,80}|.{0,40}") {
            if let Ok(look) = look(&query) {
                prop_assert!(look.range.from_millis < look.range.to_millis);
                let address = look.address("u", &[]);
                prop_assert!(address.is_ascii());
            }
        }
    }
}
