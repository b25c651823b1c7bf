//! The classic dashboard JSON in two steps: what each panel asks, and how it looks.
//!
//! What a panel asks is read of every dashboard that Grafana loads: [`read()`] refuses what Grafana refuses and nothing else. How
//! it looks is read strictly, because what Grafana would honour and we would skip is a panel that lies: a field outside the subset
//! is a [`Finding`] that names dashboard, panel and field, and a panel that has one ([`Panel::undrawn`]) says so in its place.
//! Two lists per object keep that honest: what is read, and what has no bearing on a picture. A panel type that isn't drawn
//! ([`Kind::Undrawn`]) is no finding. Nothing here evaluates a query or panics on a file.

mod fields;
mod look;
mod pattern;
mod read;
mod repeat;
mod variable;

use std::collections::BTreeMap;
use std::time::Duration;

pub use look::{Calculation, Field, Interpolation, Mapped, Mapping, Matcher, Override, Property, Threshold};
pub(crate) use pattern::expression;
pub use pattern::pattern_matches;
pub use read::read;
pub use variable::{ALL, Variable, VariableKind};

use aiclipx_base::duration::{DurationError, Speed};
use aiclipx_model::failure::Finding;
use aiclipx_model::monitoring::{lengths_in, panel_query_at, panel_range_at, panel_step_at, variables};

/// A dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// Stable; its address is `/d/<uid>`.
    pub uid: String,
    /// Shown as the headline.
    pub title: String,
    /// May be empty.
    pub description: String,
    /// The range shown by default, as Grafana writes it: `now-30m`, `now`.
    pub range: (String, String),
    /// How often it is drawn anew by default: `10s`; empty for never.
    pub refresh: String,
    /// What `$name` stands for.
    pub variables: Vec<Variable>,
    /// Events to mark on every timeseries panel.
    pub annotations: Vec<Annotation>,
    /// In the file's order, rows' contents in place.
    pub panels: Vec<Panel>,
    /// What Grafana shows of it outside of panels and we don't.
    pub undrawn: Vec<Finding>,
}

/// What stands under one headline, or, as the first of a dashboard, under none.
#[derive(Debug, Clone, PartialEq)]
pub struct Section<'a> {
    /// The headline.
    pub row: Option<&'a Panel>,
    /// From top to bottom, then from left to right.
    pub panels: Vec<&'a Panel>,
}

impl Dashboard {
    /// As a stack of that speed is asked it: lengths that stand in a query, and in what it looks back by, are of production
    /// time. What the stack's own copy holds was divided when that was made.
    pub fn at(&self, speed: Speed) -> Result<Dashboard, Vec<String>> {
        let mut divided = self.clone();
        if speed == Speed::PRODUCTION {
            return Ok(divided);
        }
        let told = |error: DurationError| vec![error.to_string()];
        for panel in &mut divided.panels {
            for target in &mut panel.targets {
                target.expr = panel_query_at(&target.expr, speed)?;
                target.min_step = panel_step_at(&target.min_step, speed).map_err(told)?;
            }
            let asking = &mut panel.asking;
            asking.min_interval = panel_step_at(&asking.min_interval, speed).map_err(told)?;
            for own in [&mut asking.time_from, &mut asking.time_shift] {
                *own = panel_range_at(own, speed).map_err(told)?;
            }
        }
        let lengths = self.lengths();
        for variable in divided.variables.iter_mut().filter(|one| lengths.contains(&one.name)) {
            variable.divide(speed).map_err(told)?;
        }
        Ok(divided)
    }

    /// The variables that stand for a length of time.
    fn lengths(&self) -> Vec<String> {
        let intervals = self.variables.iter().filter(|one| matches!(one.kind, VariableKind::Interval(_)));
        let mut names: Vec<String> = intervals.map(|one| one.name.clone()).collect();
        for panel in &self.panels {
            let own = [&panel.asking.min_interval, &panel.asking.time_from, &panel.asking.time_shift];
            names.extend(own.into_iter().flat_map(|text| variables::names(text)).map(str::to_owned));
            for target in &panel.targets {
                names.extend(lengths_in(&target.expr).into_iter().map(str::to_owned));
                names.extend(variables::names(&target.min_step).map(str::to_owned));
            }
        }
        names
    }

    /// Everything that Grafana shows and we don't, or not as it does.
    pub fn undrawn(&self) -> impl Iterator<Item = &Finding> {
        self.undrawn.iter().chain(self.panels.iter().flat_map(|panel| &panel.undrawn))
    }

    /// The panel of this id.
    pub fn panel(&self, id: u32) -> Option<&Panel> {
        self.panels.iter().find(|panel| panel.id == id)
    }

    /// The panels as they are seen: a folded row holds its own, an open one heads all that follow it downwards.
    pub fn sections(&self) -> Vec<Section<'_>> {
        let place = |panel: &&Panel| (panel.grid.y, panel.grid.x);
        let mut outer: Vec<&Panel> = self.panels.iter().filter(|panel| panel.within.is_none()).collect();
        outer.sort_by_key(place);
        let mut sections = vec![Section { row: None, panels: Vec::new() }];
        for panel in outer {
            if panel.kind == Kind::Row {
                let mut held: Vec<&Panel> = self.panels.iter().filter(|one| one.within == Some(panel.id)).collect();
                held.sort_by_key(place);
                sections.push(Section { row: Some(panel), panels: held });
            } else if let Some(section) = sections.last_mut() {
                section.panels.push(panel);
            }
        }
        sections.retain(|section| section.row.is_some() || !section.panels.is_empty());
        sections
    }
}

/// An annotation query: where its expression is neither zero nor absent, something was going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// `Alerts firing`.
    pub name: String,
    /// `PromQL`.
    pub expr: String,
    /// The label shown, a legend template; empty for the name.
    pub title_format: String,
    /// The least step it is asked with; the scrape interval when not given.
    pub step: Option<Duration>,
}

/// What an annotation marks, which decides how it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marking {
    /// Alerts, which Prometheus keeps as the series `ALERTS`.
    Alerts,
    /// What was done to the service: an annotation whose name speaks of faults.
    Faults,
    /// Anything else.
    Phases,
}

impl Annotation {
    /// What it marks.
    pub fn marking(&self) -> Marking {
        if self.expr.contains("ALERTS") {
            Marking::Alerts
        } else if self.name.to_lowercase().contains("fault") {
            Marking::Faults
        } else {
            Marking::Phases
        }
    }
}

/// Where a panel stands: Grafana's grid is 24 columns wide, a row is 30 pixels high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grid {
    /// Columns from the left.
    pub x: u32,
    /// Rows from the top.
    pub y: u32,
    /// Columns.
    pub w: u32,
    /// Rows.
    pub h: u32,
}

/// How a panel shows its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Lines over time.
    Timeseries,
    /// One large number a series.
    Stat,
    /// A bar a series.
    BarGauge,
    /// A row a series.
    Table,
    /// A headline over what follows.
    Row,
    /// Of logs, from a store that is not Prometheus: its queries, `LogQL` with variables in it. They are shown as lines,
    /// the newest first, whatever the type; a picture says where else to look.
    Logs(Vec<String>),
    /// A type we don't draw, by Grafana's name.
    Undrawn(String),
}

/// A panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Unique in its dashboard.
    pub id: u32,
    /// The headline.
    pub title: String,
    /// What the reader should know about it; may be empty.
    pub description: String,
    /// How it is drawn.
    pub kind: Kind,
    /// Where it stands.
    pub grid: Grid,
    /// The folded row that holds it.
    pub within: Option<u32>,
    /// Of a row: folded, its panels neither shown nor asked for.
    pub folded: bool,
    /// The data source's uid; none for the default one.
    pub datasource: Option<String>,
    /// Its queries of Prometheus.
    pub targets: Vec<Target>,
    /// Whom its other queries ask, by Grafana's names of the types.
    pub elsewhere: Vec<String>,
    /// What decides for which times and how finely it asks.
    pub asking: Asking,
    /// What of its looks we would draw otherwise than Grafana: where there is something, it isn't drawn.
    pub undrawn: Vec<Finding>,
    /// How values look, unless a field says otherwise.
    pub defaults: Field,
    /// What some fields say otherwise.
    pub overrides: Vec<Override>,
    /// What is shown of a series: `lastNotNull`, `mean`, ….
    pub calculations: Vec<Calculation>,
    /// The legend's columns; none when the legend is hidden.
    pub legend: Option<Vec<Calculation>>,
    /// A stat's sparkline.
    pub sparkline: bool,
    /// A stat's value has the colour of text.
    pub plain: bool,
    /// A table's columns: what is left out and what is renamed.
    pub columns: Columns,
    /// Where it leads, in its order.
    pub links: Vec<Link>,
}

/// Where a panel leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// A few words.
    pub title: String,
    /// A path of this place, or an address of the web; `${__from}`, `${__to}` and `${__url_time_range}` stand for the range
    /// shown.
    pub url: String,
}

/// A table's columns, from the transformation `organize`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns {
    /// Left out.
    pub hidden: Vec<String>,
    /// Shown under another name.
    pub renamed: BTreeMap<String, String>,
    /// Where a column stands, by its name in the answer.
    pub order: BTreeMap<String, u32>,
    /// The column (as shown) it is sorted by, and whether downwards.
    pub sort: Option<(String, bool)>,
}

/// What decides for which times and how finely a panel asks. Texts may have variables in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asking {
    /// The least step; empty for the data source's.
    pub min_interval: String,
    /// Points asked for, whatever the width.
    pub max_points: Option<u32>,
    /// How far back it looks instead of the dashboard's range.
    pub time_from: String,
    /// By how much its range lies before the dashboard's.
    pub time_shift: String,
    /// The panel whose answers it shows.
    pub shows: Option<u32>,
    /// It, or the row with what stands under it, stands there once for each of a variable's values.
    pub repeat: Option<Repeat>,
    /// Which of them this one stands for.
    pub stands_for: BTreeMap<String, String>,
}

/// How a panel is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// For each value of this one.
    pub variable: String,
    /// One below the other, not beside.
    pub is_vertical: bool,
    /// Beside one another, at most.
    pub per_row: u32,
}

/// A query of a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `A`, `B`, ….
    pub ref_id: String,
    /// `PromQL` with variables in it.
    pub expr: String,
    /// `{{label}}`, `__auto`, a fixed name, or empty.
    pub legend: String,
    /// Asked for the end of the range.
    pub instant: bool,
    /// Asked over the range; neither set means this.
    pub range: bool,
    /// The data source's uid or name; none for the default one.
    pub datasource: Option<String>,
    /// The least step, perhaps a variable; empty for the panel's.
    pub min_step: String,
    /// So many steps become one.
    pub factor: u32,
}
