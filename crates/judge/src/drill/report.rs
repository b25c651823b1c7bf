//! What people read of a drill: report.html and report.md, a matrix of alerts and what was shown of each.

use std::collections::BTreeSet;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::outcome::{FIRES_ALWAYS, Outcome};
use super::record::time;
use super::tally::{Cell, Column};
use crate::judge::Verdict;
use crate::report::judgements::{mark, why_class};
use crate::report::words::{self, sign, utc};
use crate::timeline::seconds;

/// The files that tell people: path below the bundle, and text.
pub fn write(outcome: &Outcome) -> anyhow::Result<Vec<(String, String)>> {
    Ok(vec![("report.html".to_owned(), page(outcome)), ("report.md".to_owned(), markdown(outcome)?)])
}

fn heading(column: Column) -> &'static str {
    match column {
        Column::Fires => "Fires",
        Column::ToldTo => "Told to",
        Column::Text => "Text",
        Column::Resolves => "Resolves",
    }
}

/// Facts about the drill as a whole.
fn facts(outcome: &Outcome) -> Vec<(&str, String)> {
    let made = &outcome.made;
    let speeds: BTreeSet<u32> = outcome.plan.scenes.iter().map(|one| one.stretch.speed.factor()).collect();
    let speeds: Vec<String> = speeds.iter().map(|speed| format!("{speed}×")).collect();
    let mut facts = vec![
        ("Run", made.id.clone()),
        ("Recorded", utc(made.began_ms)),
        ("Duration", seconds(made.ended_ms - made.began_ms)),
        ("Scenes", outcome.plan.scenes.len().to_string()),
        ("Speeds", speeds.join(", ")),
        ("Alertmanager's configuration", made.alertmanager.display().to_string()),
        ("Machine", made.machine.clone()),
    ];
    facts.extend(made.versions.iter().map(|(name, version)| (name.as_str(), version.clone())));
    facts
}

fn page(outcome: &Outcome) -> String {
    let wrong = |cell: &&Cell| matches!(cell.verdict, Verdict::Fails(_) | Verdict::Invalid(_));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Fire drill " (outcome.made.id) }
                style { (PreEscaped(include_str!("../report.css"))) }
            }
            body {
                h1 { "aiclipx · fire drill" }
                section.card.(outcome.class()) {
                    p.headline { (outcome.headline()) }
                    p.count { (outcome.tally()) }
                    dl.facts { @for (name, value) in facts(outcome) { div { dt { (name) } dd { (value) } } } }
                }
                nav {
                    a href="#matrix" { "Matrix" }
                    a href="#told" { "Who was told" }
                    a href="#alerts" { "Alert by alert" }
                    a href="#scenes" { "Scenes" }
                    a href="#limits" { "Limits" }
                    a href="#verify" { "Verify it" }
                }
                @if outcome.cells.iter().any(|cell| wrong(&cell)) {
                    h2 #open { "What is not as it should be" }
                    (table(outcome.cells.iter().filter(wrong)))
                }
                (remarks(outcome))
                (matrix(outcome))
                (told(outcome))
                h2 #alerts { "Alert by alert" }
                @for row in &outcome.plan.rows {
                    h3 #(row.name) { (row.name) }
                    @if let Some(rule) = &row.rule { p.soft { code { (rule.file.display()) ":" (rule.line) } } }
                    @if row.fires_always() { p.soft { "It " (FIRES_ALWAYS) "." } }
                    (table(outcome.row(&row.name)))
                }
                (scenes(outcome))
                (limits())
                h2 #verify { "Verify it" }
                p { "In the folder that holds this report, offline, with nothing but the tool or nothing but coreutils:" }
                pre { "aiclipx verify .\nsha256sum -c SHA256SUMS" }
                p { "The first plans and judges everything again and compares; the second checks only that no listed file changed." }
            }
        }
    };
    page.into_string()
}

fn remarks(outcome: &Outcome) -> Markup {
    let remarks = outcome.remarks();
    html! {
        @if !remarks.is_empty() {
            h2 #remarks { "To know" }
            ul { @for remark in remarks { li { (remark) } } }
        }
    }
}

fn matrix(outcome: &Outcome) -> Markup {
    html! {
        h2 #matrix { "Matrix" }
        div.wide { table.matrix {
            thead { tr { th { "Alert" } @for column in Column::ALL { th { (heading(column)) } } } }
            tbody {
                @for row in &outcome.plan.rows {
                    tr {
                        td { a href=(format!("#{}", row.name)) { (row.name) } }
                        @for column in Column::ALL {
                            td {
                                @match outcome.row(&row.name).find(|cell| cell.column == column) {
                                    Some(cell) => (mark(&cell.verdict)),
                                    None => span title=(FIRES_ALWAYS) { "–" },
                                }
                            }
                        }
                    }
                }
            }
        } }
    }
}

/// Whom the routes lead to: that it is whom one meant, no test says.
fn told(outcome: &Outcome) -> Markup {
    html! {
        h2 #told { "Who was told" }
        div.wide { table.rows {
            thead { tr { th { "Receiver" } th { "Alerts" } } }
            tbody {
                @for (receiver, alerts) in outcome.told() {
                    tr {
                        td.name { (receiver) }
                        td data-label="Alerts" { (of_alerts(&alerts)) }
                    }
                }
            }
        } }
    }
}

fn of_alerts(alerts: &BTreeSet<&str>) -> String {
    if alerts.is_empty() { "none".to_owned() } else { alerts.iter().copied().collect::<Vec<_>>().join(", ") }
}

fn table<'a>(cells: impl Iterator<Item = &'a Cell>) -> Markup {
    html! {
        div.wide { table.rows {
            thead { tr { th { "Claim" } th { "Must be" } th { "Was" } th { "Verdict" } } }
            tbody {
                @for cell in cells {
                    tr {
                        td {
                            (cell.says)
                            @if !cell.verdict.why().is_empty() { div class=(why_class(&cell.verdict)) { (cell.verdict.why()) } }
                        }
                        td data-label="Must be" { (cell.expected) }
                        td data-label="Was" { (cell.observed) }
                        td.verdict { (mark(&cell.verdict)) }
                    }
                }
            }
        } }
    }
}

/// What was lived: which test, from when to when, and how fast.
fn scenes(outcome: &Outcome) -> Markup {
    html! {
        h2 #scenes { "Scenes" }
        div.wide { table.rows {
            thead { tr { th { "Scene" } th { "Test" } th { "Its time" } th.number { "Speed" } th.number { "Evaluations" } th.number { "Told" } } }
            tbody {
                @for scene in &outcome.plan.scenes {
                    @let stretch = &scene.stretch;
                    tr {
                        td.name { (scene.name) }
                        td data-label="Test" { (scene.place(&outcome.given)) }
                        td data-label="Its time" {
                            (time(stretch.begins_ms)) " to " (time(stretch.asked_until_ms))
                            @if stretch.begins_ms > 0 { div.soft { "history: all before" } }
                        }
                        td.number data-label="Speed" { (stretch.speed) "×" }
                        @match outcome.records.get(&scene.name) {
                            Some(record) => {
                                td.number data-label="Evaluations" { (record.evaluated.iter().filter(|at| **at >= stretch.begins_ms).count()) }
                                td.number data-label="Told" { (record.notifications.len()) }
                            }
                            None => { td colspan="2" { "not recorded" } }
                        }
                    }
                }
            }
        } }
    }
}

fn limits() -> Markup {
    html! {
        h2 #limits { "Limits" }
        ul {
            @for limit in LIMITS { li { (limit) } }
        }
    }
}

const LIMITS: [&str; 5] = [
    "A test's time was lived faster: every duration of rules, tests and Alertmanager was divided; what is per second was divided \
     again, and the clock that rules read shows the test's time. Texts are compared letter by letter; where rules measure how fast \
     something changes, numbers of ten and more decimals by what they are worth (a billionth is let pass).",
    "All rules of a test were evaluated in one group, in promtool's order and at its interval. What groups side by side read of \
     each other may be an interval older.",
    "Each receiver's integrations were replaced by one webhook. That Slack, a pager or a mail server takes what it is sent, nothing \
     here shows.",
    "When nobody may be told (mute and active time intervals) was left out: it is of the calendar.",
    "When what a test asks about was over, its series went on as they last did until the receivers were told, then ended with a \
     mark of staleness; what rules had seen in windows that take long to pass was deleted. What fires of absence was ended by one \
     sample of what was absent.",
];

/// A text of somebody else's as it may stand in a table's cell: as letters, whatever Markdown or HTML would make of it.
fn in_a_cell(text: &str) -> String {
    words::cell(&text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

fn markdown(outcome: &Outcome) -> anyhow::Result<String> {
    use std::fmt::Write as _;
    let mut text = String::new();
    writeln!(text, "# Fire drill {}\n\n**{}.** {}.\n", outcome.made.id, outcome.headline(), outcome.tally())?;
    writeln!(text, "| | |\n|---|---|")?;
    for (name, value) in facts(outcome) {
        writeln!(text, "| {} | {} |", name.to_lowercase(), in_a_cell(&value))?;
    }
    let headings = Column::ALL.map(|column| heading(column).to_lowercase()).join(" | ");
    writeln!(text, "\n| alert | {headings} |\n|---|---|---|---|---|")?;
    for row in &outcome.plan.rows {
        let of = |column| outcome.row(&row.name).find(|cell| cell.column == column);
        let signs = Column::ALL.map(|column| of(column).map_or("–", |cell| sign(&cell.verdict)));
        writeln!(text, "| {} | {} |", in_a_cell(&row.name), signs.join(" | "))?;
    }
    let open: Vec<&Cell> = outcome.cells.iter().filter(|cell| cell.verdict != Verdict::Holds).collect();
    if !open.is_empty() {
        writeln!(text, "\n| claim | verdict | why |\n|---|---|---|")?;
        for cell in open {
            writeln!(
                text,
                "| {} | {} | {} |",
                in_a_cell(&cell.id),
                sign(&cell.verdict),
                in_a_cell(cell.verdict.why())
            )?;
        }
    }
    writeln!(text, "\n| receiver | told of |\n|---|---|")?;
    for (receiver, alerts) in outcome.told() {
        writeln!(text, "| {} | {} |", in_a_cell(receiver), in_a_cell(&of_alerts(&alerts)))?;
    }
    for remark in outcome.remarks() {
        writeln!(text, "\n- {}", in_a_cell(&remark))?;
    }
    writeln!(text, "\nVerify: `aiclipx verify .` in this folder, offline.")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_somebody_elses_is_letters_in_a_cell_of_markdown() {
        assert_eq!(
            in_a_cell("a|b\n<img src=x onerror='y'> &lt;b&gt;"),
            "a\\|b &lt;img src=x onerror='y'&gt; &amp;lt;b&amp;gt;"
        );
    }
}
