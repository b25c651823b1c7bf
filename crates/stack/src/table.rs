//! The stack as people see it: the live table of a start, the table of `status`.
//!
//! On a terminal the table is redrawn in place; elsewhere a line is written when something changes. Nothing decides
//! anything here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::plan::Plan;
use aiclipx_base::duration::Speed;

/// Where lines are written: after this long without one, a line says what is waited for.
const MUTE: Duration = Duration::from_secs(5);

/// How a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its turn has not come.
    Waiting,
    /// It runs, and is not ready.
    Starting,
    /// It can do its work.
    Ready,
    /// It is not installed, and the stack does without.
    Absent,
    /// It ended by itself.
    Failed,
    /// It was stopped, because another failed or the user said so.
    Stopped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Starting => "starting",
            State::Ready => "ready",
            State::Absent => "absent",
            State::Failed => "failed",
            State::Stopped => "stopped",
        }
    }
}

/// A line of the table of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub state: State,
    /// Since its start; until it was ready, once it is.
    pub time: Option<Duration>,
    /// Its URL, or why it is absent.
    pub remark: String,
}

/// A line of the table of `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRow {
    pub name: String,
    pub health: Health,
    /// While it runs.
    pub pid: Option<u32>,
    /// While it runs, as `1 day, 0:01:07`.
    pub uptime: Option<String>,
    /// Its URL, or why it is absent.
    pub remark: String,
}

/// How a component of a running stack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It runs and says it is ready.
    Up,
    /// It runs, but does not say it is ready.
    Unready,
    /// It, or what stands before it, was stopped in its tracks.
    Paused,
    /// The receiver: it works, and misses the Watchdog's notifications.
    Silent,
    /// It does not run; supervisord's word for it.
    Down(String),
    /// It is not installed, and the stack does without.
    Absent,
}

/// Who is told how a start goes on.
pub trait Watch: Send {
    /// The table as it is now; called some times a second.
    fn show(&mut self, rows: &[Row]);
    /// The table as it stays; called once, also when the start failed. Empty when nothing was started.
    fn finish(&mut self, rows: &[Row]);
}

/// Nobody is told.
#[derive(Debug)]
pub struct Silent;

impl Watch for Silent {
    fn show(&mut self, _rows: &[Row]) {}
    fn finish(&mut self, _rows: &[Row]) {}
}

/// Somebody at a terminal, or reading a log, is told on standard error.
#[derive(Debug, Default)]
pub struct Live {
    drawing: Option<Drawing>,
    told: BTreeMap<String, State>,
    ticks: usize,
    /// When a line was last written, where lines are.
    spoke: Option<Instant>,
}

#[derive(Debug)]
struct Drawing {
    lines: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Live {
    /// Redraws on a terminal, writes plain lines elsewhere.
    pub fn new() -> Live {
        let is_drawn = std::io::stderr().is_terminal();
        let drawing = is_drawn.then(|| Drawing {
            lines: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            bars: Vec::new(),
        });
        Live { drawing, told: BTreeMap::new(), ticks: 0, spoke: None }
    }

    /// What has changed; and, when nothing has for a while, what is waited for.
    fn tell(&mut self, rows: &[Row]) {
        let mut lines: Vec<String> = Vec::new();
        for row in rows {
            let is_news = !matches!(row.state, State::Waiting | State::Starting);
            if is_news && self.told.insert(row.name.clone(), row.state) != Some(row.state) {
                lines.push(line(row, Paint(false), 0));
            }
        }
        let is_mute = self.spoke.get_or_insert_with(Instant::now).elapsed() >= MUTE;
        if lines.is_empty() && is_mute {
            lines.extend(waited_for(rows));
        }
        for line in lines {
            let _ = writeln!(std::io::stderr(), "{line}");
            self.spoke = Some(Instant::now());
        }
    }
}

/// `  · waiting for prometheus (12.3 s)`: nothing when nothing is.
fn waited_for(rows: &[Row]) -> Option<String> {
    let waiting: Vec<&Row> = rows.iter().filter(|row| row.state == State::Starting).collect();
    let names: Vec<&str> = waiting.iter().map(|row| row.name.as_str()).collect();
    let longest = waiting.iter().filter_map(|row| row.time).max().unwrap_or_default();
    (!names.is_empty()).then(|| format!("  · waiting for {} ({:.0} s)", names.join(", "), longest.as_secs_f64()))
}

impl Watch for Live {
    fn show(&mut self, rows: &[Row]) {
        self.ticks += 1;
        let Some(drawing) = &mut self.drawing else {
            self.tell(rows);
            return;
        };
        let paint = Paint::for_stderr();
        let texts = std::iter::once(header(paint)).chain(rows.iter().map(|row| line(row, paint, self.ticks)));
        for (index, text) in texts.enumerate() {
            if index == drawing.bars.len() {
                let bar = drawing.lines.add(ProgressBar::new_spinner());
                // Cut at the terminal's width: a wrapped line could not be redrawn in place.
                bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("the template is right"));
                drawing.bars.push(bar);
            }
            drawing.bars[index].set_message(text);
        }
    }

    fn finish(&mut self, rows: &[Row]) {
        let Some(drawing) = &mut self.drawing else {
            self.tell(rows);
            return;
        };
        let _ = drawing.lines.clear();
        if rows.is_empty() {
            return;
        }
        let paint = Paint::for_stderr();
        let mut text = header(paint);
        for row in rows {
            let _ = write!(text, "\n{}", line(row, paint, self.ticks));
        }
        if rows.iter().any(|row| matches!(row.state, State::Failed | State::Stopped)) {
            // What went wrong follows, and should not stick to the table.
            text.push('\n');
        }
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// What colours mean, or nothing where there are none.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub(super) bool);

impl Paint {
    /// Colours for standard error.
    pub fn for_stderr() -> Paint {
        Paint(std::io::stderr().is_terminal() && colours_are_wanted())
    }

    /// Colours for standard output.
    pub fn for_stdout() -> Paint {
        Paint(std::io::stdout().is_terminal() && colours_are_wanted())
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// As it should be.
    pub(super) fn ok(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Not yet, or not quite.
    pub(super) fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    /// Not as it should be.
    pub(super) fn error(self, text: &str) -> String {
        self.with("31", text)
    }

    /// Beside the point.
    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// One of several, told apart by number.
    pub fn numbered(self, number: usize, text: &str) -> String {
        const CODES: [&str; 6] = ["36", "35", "34", "33", "32", "31"];
        self.with(CODES[number % CODES.len()], text)
    }
}

/// <https://no-color.org>, and terminals that know none.
fn colours_are_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

fn header(paint: Paint) -> String {
    paint.dim(&format!("    {:<14} {:<9} {:>7}   {}", "component", "state", "time", "url"))
}

fn line(row: &Row, paint: Paint, tick: usize) -> String {
    const SPINNER: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠧", "⠇", "⠏"];
    let word = format!("{:<9}", row.state.word());
    let (sign, word) = match row.state {
        State::Waiting | State::Stopped => (paint.dim("·"), paint.dim(&word)),
        State::Starting => (paint.warn(SPINNER[tick % SPINNER.len()]), paint.warn(&word)),
        State::Ready => (paint.ok("●"), paint.ok(&word)),
        State::Absent => (paint.dim("○"), paint.dim(&word)),
        State::Failed => (paint.error("✗"), paint.error(&word)),
    };
    let time = row.time.map_or_else(String::new, |time| format!("{:.1} s", time.as_secs_f64()));
    let remark = if row.state == State::Ready { row.remark.clone() } else { paint.dim(&row.remark) };
    format!("  {sign} {:<14} {word} {time:>7}   {remark}", row.name)
}

/// The table of `status`, each line ended.
pub fn status(rows: &[StatusRow], paint: Paint) -> String {
    let uptimes = rows.iter().filter_map(|row| row.uptime.as_ref()).map(String::len);
    let uptime_width = uptimes.max().unwrap_or(0).max("uptime".len());
    let mut text = paint
        .dim(&format!("    {:<14} {:<9} {:>7}   {:<uptime_width$}   {}", "component", "state", "pid", "uptime", "url"));
    text.push('\n');
    for row in rows {
        let (sign, word) = match &row.health {
            Health::Up => (paint.ok("●"), paint.ok(&format!("{:<9}", "up"))),
            Health::Unready => (paint.warn("◐"), paint.warn(&format!("{:<9}", "not ready"))),
            Health::Paused => (paint.error("✗"), paint.error(&format!("{:<9}", "paused"))),
            Health::Silent => (paint.error("✗"), paint.error(&format!("{:<9}", "silent"))),
            Health::Down(word) => (paint.error("✗"), paint.error(&format!("{:<9}", word.to_lowercase()))),
            Health::Absent => (paint.dim("○"), paint.dim(&format!("{:<9}", "absent"))),
        };
        let pid = row.pid.map_or_else(String::new, |pid| pid.to_string());
        let uptime = row.uptime.as_deref().unwrap_or("");
        let remark = match row.health {
            Health::Up => row.remark.clone(),
            Health::Paused | Health::Silent => paint.error(&row.remark),
            _ => paint.dim(&row.remark),
        };
        let _ = writeln!(text, "  {sign} {:<14} {word} {pid:>7}   {uptime:<uptime_width$}   {remark}", row.name);
    }
    text
}

/// What to say under the table of a start that went well, without colour: what is told is cleared of escapes. `dies_together`: a killed supervisord takes its programs with it.
pub fn all_ready(speed: Speed, dies_together: bool, took: Duration) -> String {
    let k = speed.factor();
    let speed = match k {
        1 => "Production time".to_owned(),
        _ => format!("Speed {k}: a minute of production takes {}", seconds(60.0 / f64::from(k))),
    };
    let mut text = format!("\n  All ready in {:.1} s. {speed}.\n", took.as_secs_f64());
    let mut add = |line: &str| {
        let _ = writeln!(text, "  {line}");
    };
    add("Prometheus scrapes for the first time about 5 s from now.");
    if !dies_together {
        add("There is no setpriv here: if supervisord is killed, what it runs goes on. Use `just down`.");
    }
    add("Next: just traffic · just evidence · just down");
    text
}

/// Where the dashboards show what happened at a time: the windows of their rates before it and after it included.
pub fn panels_around(plan: &Plan, from: jiff::Timestamp, to: jiff::Timestamp) -> String {
    let around = i64::try_from((AROUND / plan.speed.factor()).as_millis()).unwrap_or(i64::MAX);
    let (from, to) = (from.as_millisecond() - around, to.as_millisecond() + around);
    plan.addresses.dashboards.url(&format!("/d/app-overview?from={from}&to={to}"))
}

/// Twice the window of the rules' rates, in production time.
const AROUND: Duration = Duration::from_mins(10);

/// `2 s`, `0.6 s`: as many decimals as say something.
fn seconds(value: f64) -> String {
    let text = format!("{value:.2}");
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_in_line_whatever_the_state() {
        let row = |state, time: Option<u64>| Row {
            name: "alertmanager".to_owned(),
            state,
            time: time.map(Duration::from_millis),
            remark: "http://x".to_owned(),
        };
        let rows = [
            row(State::Waiting, None),
            row(State::Starting, Some(12_345)),
            row(State::Ready, Some(70)),
            row(State::Failed, Some(1)),
        ];
        let columns: Vec<_> = rows
            .iter()
            .map(|row| line(row, Paint(false), 3))
            .map(|line| line.chars().take(200).collect::<Vec<_>>())
            .map(|line| line.iter().collect::<String>().split("http").next().unwrap().chars().count())
            .collect();
        let first = header(Paint(false)).split("url").next().unwrap().chars().count();
        assert!(columns.iter().all(|column| *column == first), "{columns:?} {first}");
    }

    #[test]
    fn without_colour_there_is_no_escape() {
        let row = StatusRow {
            name: "app".to_owned(),
            health: Health::Down("FATAL".to_owned()),
            pid: None,
            uptime: None,
            remark: "http://x".to_owned(),
        };
        let text = status(&[row], Paint(false));
        assert!(text.contains("fatal") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn a_silent_watchdog_is_red_and_says_since_when() {
        let row = StatusRow {
            name: "receiver".to_owned(),
            health: Health::Silent,
            pid: Some(7),
            uptime: Some("0:01:07".to_owned()),
            remark: "the Watchdog is silent since 2026-11-24T03:00:00.123Z".to_owned(),
        };
        let text = status(&[row], Paint(true));
        assert!(text.contains("\x1b[31m✗") && text.contains("\x1b[31mthe Watchdog is silent since 2026"), "{text}");
    }

    #[test]
    fn a_wait_names_who_is_waited_for_and_ends_with_it() {
        let row = |name: &str, state| Row {
            name: name.to_owned(),
            state,
            time: Some(Duration::from_millis(12_300)),
            remark: String::new(),
        };
        let rows = [row("app", State::Ready), row("prometheus", State::Starting), row("viewer", State::Starting)];
        assert_eq!(waited_for(&rows).as_deref(), Some("  · waiting for prometheus, viewer (12 s)"));
        assert_eq!(waited_for(&rows[..1]), None);
    }

    #[test]
    fn seconds_say_no_more_than_they_know() {
        assert_eq!([seconds(2.0), seconds(0.6), seconds(60.0 / 7.0)], ["2 s", "0.6 s", "8.57 s"]);
    }
}
