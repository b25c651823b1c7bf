//! From JSON to the model, noting everything that does not fit.
//!
//! Per object two lists: what is read, and what has no bearing on a picture. A key in neither is a finding.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::{
    Annotation, Calculation, Columns, Dashboard, Field, Grid, Interpolation, Kind, Link, Matcher, Override, Panel,
    Property, Target, Threshold, Variable, VariableKind, pattern_matches,
};
use aiclipx_base::duration;
use aiclipx_model::failure::Finding;

/// A dashboard of which some panels may be outside the subset.
#[derive(Debug, Clone, PartialEq)]
pub struct Partly {
    /// All of it; of a refused panel only place, title and description can be relied on.
    pub dashboard: Dashboard,
    /// By panel, what is outside the subset.
    pub refused: BTreeMap<u32, Vec<Finding>>,
}

/// Reads a dashboard, or says everything in it that we can't show as Grafana would.
pub fn read(file: &Path, text: &str) -> Result<Dashboard, Vec<Finding>> {
    let Partly { dashboard, refused } = read_partly(file, text)?;
    if refused.is_empty() { Ok(dashboard) } else { Err(refused.into_values().flatten().collect()) }
}

/// Reads a dashboard and keeps apart which panels we can't show as Grafana would. What is wrong outside of panels
/// refuses the whole.
pub fn read_partly(file: &Path, text: &str) -> Result<Partly, Vec<Finding>> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        vec![Finding {
            file: file.to_owned(),
            line: error.line(),
            what: format!("the dashboard is no JSON: {error}"),
            remedy: String::new(),
        }]
    })?;
    let mut reader =
        Reader { findings: Vec::new(), place: "the dashboard".to_owned(), panel: None, sources: Vec::new() };
    let dashboard = reader.dashboard(&value);
    let mut refused: BTreeMap<u32, Vec<Finding>> = BTreeMap::new();
    let mut all = Vec::new();
    let mut spoilt = false;
    for (panel, what, remedy) in reader.findings {
        let finding = Finding { file: file.to_owned(), line: 0, what, remedy };
        match panel {
            Some(panel) => refused.entry(panel).or_default().push(finding.clone()),
            None => spoilt = true,
        }
        all.push(finding);
    }
    if spoilt { Err(all) } else { Ok(Partly { dashboard, refused }) }
}

/// Walks the JSON and notes what does not fit, with the place it is at.
struct Reader {
    findings: Vec<(Option<u32>, String, String)>,
    place: String,
    /// The panel being read, once its id is known.
    panel: Option<u32>,
    /// The variables by which whoever imports the dashboard says which datasource is meant: here it is the one there is.
    sources: Vec<String>,
}

static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

impl Reader {
    fn note(&mut self, field: &str, what: &str) {
        let remedy = "use what crates/dashboard/src/model.rs reads, or teach it and the drawing this field".to_owned();
        self.findings.push((self.panel, format!("{}, field `{field}`: {what}", self.place), remedy));
    }

    fn object<'a>(&mut self, value: &'a Value, field: &str) -> &'a Map<String, Value> {
        match value {
            Value::Object(map) => map,
            Value::Null => &EMPTY,
            _ => {
                self.note(field, "must be an object");
                &EMPTY
            }
        }
    }

    fn list<'a>(&mut self, value: &'a Value, field: &str) -> &'a [Value] {
        match value {
            Value::Array(list) => list,
            Value::Null => &[],
            _ => {
                self.note(field, "must be a list");
                &[]
            }
        }
    }

    fn text(&mut self, value: &Value, field: &str) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            _ => {
                self.note(field, "must be a text");
                String::new()
            }
        }
    }

    /// A name as it stands: what Grafana would fill in is refused.
    fn name(&mut self, value: &Value, field: &str) -> String {
        let name = self.text(value, field);
        if name.contains("${") {
            self.note(field, "variables in names are outside what is drawn here; use legendFormat");
        }
        name
    }

    fn flag(&mut self, value: &Value, field: &str) -> bool {
        match value {
            Value::Bool(flag) => *flag,
            Value::Null => false,
            _ => {
                self.note(field, "must be true or false");
                false
            }
        }
    }

    fn number(&mut self, value: &Value, field: &str) -> Option<f64> {
        match value {
            Value::Number(number) => number.as_f64().filter(|number| number.is_finite()),
            Value::Null => None,
            _ => {
                self.note(field, "must be a number");
                None
            }
        }
    }

    fn whole(&mut self, value: &Value, field: &str, most: u32) -> u32 {
        if let Some(number) =
            value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= most)
        {
            number
        } else {
            self.note(field, &format!("must be a whole number from 0 to {most}"));
            0
        }
    }

    /// One of a few words; the first is the default when nothing is said.
    fn word(&mut self, value: &Value, field: &str, known: &[&'static str]) -> &'static str {
        match value {
            Value::Null => known[0],
            _ => {
                if let Some(word) = value.as_str().and_then(|word| known.iter().find(|known| **known == word)) {
                    word
                } else {
                    self.note(field, &format!("{value} is not drawn here; {} is", known.join(", ")));
                    known[0]
                }
            }
        }
    }

    /// Everything outside the two lists is a finding.
    fn only(&mut self, map: &Map<String, Value>, prefix: &str, read: &[&str], irrelevant: &[&str]) {
        for key in map.keys() {
            if !read.contains(&key.as_str()) && !irrelevant.contains(&key.as_str()) {
                self.note(&format!("{prefix}{key}"), "is outside what is drawn here");
            }
        }
    }

    fn dashboard(&mut self, value: &Value) -> Dashboard {
        let map = self.object(value, "(whole file)");
        if map.contains_key("spec") || map.contains_key("elements") {
            self.note("spec", "this is the v2 schema; classic JSON is read");
        }
        let uid = self.text(&map_get(map, "uid"), "uid");
        self.place = if uid.is_empty() { "the dashboard".to_owned() } else { format!("dashboard `{uid}`") };
        if uid.is_empty() {
            self.note("uid", "must be there: it is the dashboard's address");
        }
        self.only(
            map,
            "",
            &["uid", "title", "description", "time", "refresh", "templating", "annotations", "panels", "timezone"],
            &[
                "id",
                "version",
                "schemaVersion",
                "tags",
                "editable",
                "graphTooltip",
                "style",
                "links",
                "timepicker",
                "weekStart",
                "fiscalYearStartMonth",
                "liveNow",
                "preload",
                "gnetId",
                "iteration",
                "__inputs",
                "__requires",
            ],
        );
        // Everything here is drawn in UTC, and says so.
        self.word(&map_get(map, "timezone"), "timezone", &["utc", "browser", ""]);
        let time = map_get(map, "time");
        let time = self.object(&time, "time");
        self.only(time, "time.", &["from", "to"], &[]);
        let from = self.text(&map_get(time, "from"), "time.from");
        let to = self.text(&map_get(time, "to"), "time.to");
        let refresh = match map_get(map, "refresh") {
            Value::Bool(false) => String::new(),
            other => self.text(&other, "refresh"),
        };
        let templating = map_get(map, "templating");
        let templating = self.object(&templating, "templating");
        let list = map_get(templating, "list");
        let variables = self.list(&list, "templating.list").iter().filter_map(|one| self.variable(one)).collect();
        let annotations = map_get(map, "annotations");
        let annotations = self.object(&annotations, "annotations");
        let list = map_get(annotations, "list");
        let annotations = self.list(&list, "annotations.list").iter().filter_map(|one| self.annotation(one)).collect();
        let place = self.place.clone();
        let mut panels = Vec::new();
        let list = map_get(map, "panels");
        for one in self.list(&list, "panels") {
            self.panel(&place, one, None, &mut panels);
        }
        self.place = place;
        self.panel = None;
        for (at, panel) in panels.iter().enumerate() {
            if panels[..at].iter().any(|other: &Panel| other.id == panel.id) {
                self.note("panels", &format!("two panels have the id {}", panel.id));
            }
        }
        Dashboard {
            title: self.text(&map_get(map, "title"), "title"),
            description: self.text(&map_get(map, "description"), "description"),
            uid,
            range: (from, to),
            refresh,
            variables,
            annotations,
            panels,
        }
    }

    fn variable(&mut self, value: &Value) -> Option<Variable> {
        let map = self.object(value, "templating.list");
        let name = self.text(&map_get(map, "name"), "templating.list.name");
        let prefix = format!("templating.{name}.");
        self.only(
            map,
            &prefix,
            &["name", "label", "type", "query", "definition", "current", "allValue", "includeAll", "multi"],
            &[
                "hide",
                "refresh",
                "sort",
                "options",
                "datasource",
                "skipUrlSync",
                "description",
                "auto",
                "auto_min",
                "auto_count",
                "regex",
                "allowCustomValue",
            ],
        );
        if map.get("regex").is_some_and(|regex| regex.as_str() != Some("")) {
            self.note(&format!("{prefix}regex"), "is outside what is drawn here");
        }
        if map.get("auto").is_some_and(|auto| auto.as_bool() != Some(false)) {
            self.note(&format!("{prefix}auto"), "is outside what is drawn here");
        }
        let query = match map_get(map, "query") {
            Value::Object(query) => self.text(&map_get(&query, "query"), &format!("{prefix}query.query")),
            other => self.text(&other, &format!("{prefix}query")),
        };
        let kinds = ["query", "interval", "textbox", "datasource"];
        let kind = self.word(&map_get(map, "type"), &format!("{prefix}type"), &kinds);
        if kind == "datasource" {
            self.sources.push(name);
            return None;
        }
        let kind = if kind == "interval" {
            VariableKind::Interval(query.split(',').map(|one| one.trim().to_owned()).collect())
        } else if kind == "textbox" {
            VariableKind::Text
        } else {
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let Some(inner) = inner else {
                self.note(&format!("{prefix}query"), "must be label_values(metric, label)");
                return None;
            };
            match inner.rsplit_once(',') {
                Some((metric, label)) => {
                    VariableKind::LabelValues { metric: Some(metric.trim().to_owned()), label: label.trim().to_owned() }
                }
                None => VariableKind::LabelValues { metric: None, label: inner.trim().to_owned() },
            }
        };
        let current = map_get(map, "current");
        let current = self.object(&current, &format!("{prefix}current"));
        let current = match map_get(current, "value") {
            Value::Array(values) => {
                values.iter().map(|one| self.text(one, &format!("{prefix}current.value"))).collect()
            }
            Value::Null if map.get("includeAll") == Some(&Value::Bool(true)) => vec![super::ALL.to_owned()],
            Value::Null => Vec::new(),
            other => vec![self.text(&other, &format!("{prefix}current.value"))],
        };
        let all_value = self.text(&map_get(map, "allValue"), &format!("{prefix}allValue"));
        let include_all = self.flag(&map_get(map, "includeAll"), &format!("{prefix}includeAll"));
        let multi = self.flag(&map_get(map, "multi"), &format!("{prefix}multi"));
        let label = self.text(&map_get(map, "label"), &format!("{prefix}label"));
        Some(Variable {
            label: if label.is_empty() { name.clone() } else { label },
            name,
            kind,
            current,
            all_value: (!all_value.is_empty()).then_some(all_value),
            include_all,
            multi,
        })
    }

    fn annotation(&mut self, value: &Value) -> Option<Annotation> {
        let map = self.object(value, "annotations.list");
        // Grafana's own annotations live in its database: nothing to draw.
        if map.get("builtIn").is_some_and(|one| one.as_u64() == Some(1)) {
            return None;
        }
        if map.get("enable").is_some_and(|enable| enable.as_bool() == Some(false)) {
            return None;
        }
        let name = self.text(&map_get(map, "name"), "annotations.list.name");
        let prefix = format!("annotations.{name}.");
        self.only(
            map,
            &prefix,
            &["name", "expr", "titleFormat", "target", "step", "datasource", "enable", "useValueForTime"],
            &[
                "hide",
                "iconColor",
                "type",
                "tagKeys",
                "textFormat",
                "filter",
                "builtIn",
                "showIn",
                "limit",
                "tags",
                "rawQuery",
                "query",
            ],
        );
        let target = map_get(map, "target");
        let target = self.object(&target, &format!("{prefix}target"));
        let expr = map.get("expr").or_else(|| target.get("expr")).cloned().unwrap_or_default();
        let expr = self.text(&expr, &format!("{prefix}expr"));
        if expr.is_empty() {
            self.note(&format!("{prefix}expr"), "must be there");
            return None;
        }
        self.datasource(&map_get(map, "datasource"));
        if self.flag(&map_get(map, "useValueForTime"), &format!("{prefix}useValueForTime")) {
            self.note(&format!("{prefix}useValueForTime"), "is outside what is drawn here");
        }
        let title_format = self.text(&map_get(map, "titleFormat"), &format!("{prefix}titleFormat"));
        let step = self.text(&map_get(map, "step"), &format!("{prefix}step"));
        let step = match (step.as_str(), duration::parse(&step)) {
            ("", _) => None,
            (_, Ok(step)) => Some(step),
            (_, Err(error)) => {
                self.note(&format!("{prefix}step"), &error.to_string());
                None
            }
        };
        Some(Annotation { name, expr, title_format, step })
    }

    fn panel(&mut self, dashboard: &str, value: &Value, within: Option<u32>, panels: &mut Vec<Panel>) {
        dashboard.clone_into(&mut self.place);
        self.panel = None;
        let map = self.object(value, "panels");
        let title = self.text(&map_get(map, "title"), "panels.title");
        let id = self.whole(&map_get(map, "id"), &format!("panels.{title}.id"), 1_000_000);
        self.place = format!("{dashboard}, panel {id} \"{title}\"");
        self.panel = Some(id);
        let kind = match self.text(&map_get(map, "type"), "type").as_str() {
            _ if map.get("datasource").is_some_and(asks_logs) => Kind::Logs(Vec::new()),
            "timeseries" => Kind::Timeseries,
            "stat" => Kind::Stat,
            "gauge" => Kind::Gauge,
            "bargauge" => Kind::BarGauge,
            "table" => Kind::Table,
            "row" if within.is_none() => Kind::Row,
            "" => {
                self.note("type", "must be there");
                Kind::Undrawn(String::new())
            }
            "row" => {
                self.note("type", "a row in a row");
                Kind::Undrawn("row".to_owned())
            }
            other => Kind::Undrawn(other.to_owned()),
        };
        let grid = map_get(map, "gridPos");
        let grid = self.object(&grid, "gridPos");
        self.only(grid, "gridPos.", &["x", "y", "w", "h"], &["static"]);
        let mut at = |key: &str, most| {
            let value = map_get(grid, key);
            if value.is_null() { 0 } else { self.whole(&value, &format!("gridPos.{key}"), most) }
        };
        let grid = Grid { x: at("x", 24), y: at("y", 100_000), w: at("w", 24), h: at("h", 1_000) };
        let mut panel = Panel {
            id,
            title,
            description: self.text(&map_get(map, "description"), "description"),
            kind,
            grid,
            within,
            folded: false,
            datasource: None,
            targets: Vec::new(),
            defaults: Field::default(),
            overrides: Vec::new(),
            calculations: vec![Calculation::LastNotNull],
            legend: Some(vec![Calculation::LastNotNull, Calculation::Mean, Calculation::Max]),
            sparkline: false,
            background: false,
            columns: Columns::default(),
            links: Vec::new(),
        };
        let links = map_get(map, "links");
        panel.links = self.list(&links, "links").iter().filter_map(|one| self.link(one)).collect();
        match panel.kind {
            Kind::Undrawn(_) => panels.push(panel),
            Kind::Logs(_) => {
                panel.datasource = self.source(&map["datasource"]["uid"]);
                let targets = map_get(map, "targets");
                let targets = self.list(&targets, "targets").iter().filter_map(|one| self.log_query(one));
                panel.kind = Kind::Logs(targets.collect());
                panels.push(panel);
            }
            Kind::Row => {
                let common = ["id", "title", "type", "gridPos", "panels", "collapsed", "description"];
                self.only(map, "", &common, &["datasource", "targets"]);
                panel.folded = self.flag(&map_get(map, "collapsed"), "collapsed");
                panels.push(panel);
                // A folded row holds its panels; of an open one they follow.
                let inner = map_get(map, "panels");
                for one in self.list(&inner, "panels") {
                    self.panel(dashboard, one, Some(id), panels);
                }
            }
            _ => {
                self.only(
                    map,
                    "",
                    &[
                        "id",
                        "title",
                        "type",
                        "gridPos",
                        "description",
                        "datasource",
                        "targets",
                        "fieldConfig",
                        "options",
                        "transformations",
                        "links",
                    ],
                    &["pluginVersion", "transparent", "hideTimeOverride", "libraryPanel"],
                );
                panel.datasource = self.datasource(&map_get(map, "datasource"));
                let targets = map_get(map, "targets");
                let targets = self.list(&targets, "targets");
                panel.targets = targets.iter().filter_map(|one| self.target(one)).collect();
                self.field_config(&map_get(map, "fieldConfig"), &mut panel);
                self.options(&map_get(map, "options"), &mut panel);
                self.transformations(&map_get(map, "transformations"), &mut panel);
                panels.push(panel);
            }
        }
    }

    fn link(&mut self, value: &Value) -> Option<Link> {
        let map = self.object(value, "links");
        self.only(map, "links.", &["title", "url"], &["targetBlank", "type", "icon", "tooltip"]);
        let url = self.text(&map_get(map, "url"), "links.url");
        let link = Link {
            title: self.text(&map_get(map, "title"), "links.title"),
            // Where it leads there is no choice of datasources.
            url: self.sources.iter().fold(url, |url, name| url.replace(&format!("${{{name}}}"), "")),
        };
        // What else can stand in an address could do more than lead somewhere.
        let is_of_the_web = ["/", "http://", "https://"].iter().any(|begin| link.url.starts_with(begin));
        let bare = RANGE_VARIABLES.iter().fold(link.url.clone(), |url, name| url.replace(&format!("${{{name}}}"), ""));
        if !is_of_the_web || link.url.starts_with("//") || bare.contains('$') {
            let what =
                format!("`{}` is no path and no address of the web, or has variables but those of the range", link.url);
            self.note("links.url", &what);
            return None;
        }
        Some(link)
    }

    fn datasource(&mut self, value: &Value) -> Option<String> {
        let map = self.object(value, "datasource");
        self.only(map, "datasource.", &["type", "uid"], &[]);
        self.word(&map_get(map, "type"), "datasource.type", &["prometheus"]);
        self.source(&map_get(map, "uid"))
    }

    /// A datasource's uid; none where a variable stands for it.
    fn source(&mut self, uid: &Value) -> Option<String> {
        let uid = self.text(uid, "datasource.uid");
        if let Some(name) = uid.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            if !self.sources.iter().any(|one| one == name) {
                self.note("datasource.uid", &format!("there is no variable `{name}` of datasources"));
            }
            return None;
        }
        (!uid.is_empty()).then_some(uid)
    }

    fn target(&mut self, value: &Value) -> Option<Target> {
        let map = self.object(value, "targets");
        self.only(
            map,
            "targets.",
            &["refId", "expr", "legendFormat", "instant", "range", "datasource", "format", "hide"],
            &["editorMode", "exemplar", "useBackend", "disableTextWrap", "fullMetaSearch", "includeNullMetadata"],
        );
        if map.get("exemplar").is_some_and(|exemplar| exemplar.as_bool() != Some(false)) {
            self.note("targets.exemplar", "is outside what is drawn here");
        }
        if self.flag(&map_get(map, "hide"), "targets.hide") {
            return None;
        }
        self.datasource(&map_get(map, "datasource"));
        self.word(&map_get(map, "format"), "targets.format", &["time_series", "table"]);
        let target = Target {
            ref_id: self.text(&map_get(map, "refId"), "targets.refId"),
            expr: self.text(&map_get(map, "expr"), "targets.expr"),
            legend: self.text(&map_get(map, "legendFormat"), "targets.legendFormat"),
            instant: self.flag(&map_get(map, "instant"), "targets.instant"),
            range: self.flag(&map_get(map, "range"), "targets.range"),
        };
        if target.expr.trim().is_empty() {
            self.note("targets.expr", "must be there");
        }
        Some(target)
    }

    fn log_query(&mut self, value: &Value) -> Option<String> {
        let map = self.object(value, "targets");
        let query = self.text(&map_get(map, "expr"), "targets.expr");
        if query.trim().is_empty() {
            self.note("targets.expr", "must be there");
        }
        let is_hidden = self.flag(&map_get(map, "hide"), "targets.hide");
        (!is_hidden).then_some(query)
    }

    fn field_config(&mut self, value: &Value, panel: &mut Panel) {
        let map = self.object(value, "fieldConfig");
        self.only(map, "fieldConfig.", &["defaults", "overrides"], &[]);
        panel.defaults = self.defaults(&map_get(map, "defaults"), &panel.kind);
        let overrides = map_get(map, "overrides");
        for one in self.list(&overrides, "fieldConfig.overrides") {
            let map = self.object(one, "fieldConfig.overrides");
            self.only(map, "fieldConfig.overrides.", &["matcher", "properties"], &[]);
            let matcher = map_get(map, "matcher");
            let matcher = self.object(&matcher, "fieldConfig.overrides.matcher");
            let options = self.text(&map_get(matcher, "options"), "fieldConfig.overrides.matcher.options");
            let known = ["byName", "byRegexp"];
            let matcher = match self.word(&map_get(matcher, "id"), "fieldConfig.overrides.matcher.id", &known) {
                "byRegexp" => {
                    if pattern_matches(&options, "").is_none() {
                        let what = format!("the expression `{options}` is outside what is matched here");
                        self.note("fieldConfig.overrides.matcher.options", &what);
                    }
                    Matcher::ByRegexp(options)
                }
                _ => Matcher::ByName(options),
            };
            let properties = map_get(map, "properties");
            let properties = self.list(&properties, "fieldConfig.overrides.properties");
            let properties = properties.iter().filter_map(|one| self.property(one)).collect();
            panel.overrides.push(Override { matcher, properties });
        }
    }

    fn property(&mut self, value: &Value) -> Option<Property> {
        let map = self.object(value, "fieldConfig.overrides.properties");
        let id = self.text(&map_get(map, "id"), "fieldConfig.overrides.properties.id");
        let value = map_get(map, "value");
        let field = format!("fieldConfig.overrides.{id}");
        match id.as_str() {
            "unit" => Some(Property::Unit(self.unit(&value, &field))),
            "decimals" => self.decimals(&value, &field).map(Property::Decimals),
            "displayName" => Some(Property::DisplayName(self.name(&value, &field))),
            "color" => {
                let (fixed, _) = self.color(&value, &field);
                fixed.map(Property::Color)
            }
            "min" => self.number(&value, &field).map(Property::Min),
            "max" => self.number(&value, &field).map(Property::Max),
            "custom.lineWidth" => self.number(&value, &field).map(Property::LineWidth),
            "custom.fillOpacity" => self.number(&value, &field).map(Property::FillOpacity),
            // A table's column widths are ours to choose, and how a cell is painted is its threshold's.
            "custom.width" | "custom.align" | "custom.cellOptions" => None,
            _ => {
                self.note(&field, "is outside what is drawn here");
                None
            }
        }
    }

    fn unit(&mut self, value: &Value, field: &str) -> String {
        let unit = self.text(value, field);
        if !super::super::format::is_known(&unit) {
            self.note(field, &format!("the unit `{unit}` is outside what is written here"));
        }
        unit
    }

    fn decimals(&mut self, value: &Value, field: &str) -> Option<u8> {
        if value.is_null() {
            return None;
        }
        u8::try_from(self.whole(value, field, 12)).ok()
    }

    /// A fixed colour, and whether thresholds colour.
    fn color(&mut self, value: &Value, field: &str) -> (Option<String>, bool) {
        let map = self.object(value, field);
        self.only(map, &format!("{field}."), &["mode", "fixedColor"], &["seriesBy"]);
        let mode = format!("{field}.mode");
        match self.word(&map_get(map, "mode"), &mode, &["palette-classic", "fixed", "thresholds"]) {
            "fixed" => {
                let color = self.color_name(&map_get(map, "fixedColor"), &format!("{field}.fixedColor"));
                (Some(color), false)
            }
            mode => (None, mode == "thresholds"),
        }
    }

    fn color_name(&mut self, value: &Value, field: &str) -> String {
        let color = self.text(value, field);
        if !super::super::draw::theme::is_color(&color) {
            self.note(field, &format!("`{color}` is no colour known here; write #rrggbb"));
        }
        color
    }

    fn defaults(&mut self, value: &Value, kind: &Kind) -> Field {
        const AT: &str = "fieldConfig.defaults.";
        let map = self.object(value, "fieldConfig.defaults");
        self.only(
            map,
            AT,
            &["unit", "decimals", "min", "max", "displayName", "color", "thresholds", "custom", "mappings", "noValue"],
            &["links", "description", "fieldMinMax"],
        );
        let (color, color_by_threshold) = if map.contains_key("color") {
            self.color(&map_get(map, "color"), &format!("{AT}color"))
        } else {
            // Grafana's own default: thresholds for everything but lines.
            (None, *kind != Kind::Timeseries)
        };
        let thresholds = map_get(map, "thresholds");
        let thresholds = self.object(&thresholds, &format!("{AT}thresholds"));
        self.only(thresholds, &format!("{AT}thresholds."), &["mode", "steps"], &[]);
        let mode =
            self.word(&map_get(thresholds, "mode"), &format!("{AT}thresholds.mode"), &["absolute", "percentage"]);
        let steps = map_get(thresholds, "steps");
        let mut read: Vec<Threshold> = Vec::new();
        for (at, step) in self.list(&steps, &format!("{AT}thresholds.steps")).iter().enumerate() {
            let step = self.object(step, &format!("{AT}thresholds.steps"));
            let value = self.number(&map_get(step, "value"), &format!("{AT}thresholds.steps.value"));
            let color = self.color_name(&map_get(step, "color"), &format!("{AT}thresholds.steps.color"));
            // The first step is the base, whatever its value says.
            let value = if at == 0 { f64::NEG_INFINITY } else { value.unwrap_or(f64::NEG_INFINITY) };
            if read.last().is_some_and(|last| last.value >= value) {
                self.note(&format!("{AT}thresholds.steps"), "must go upwards");
            }
            read.push(Threshold { value, color });
        }
        let custom = map_get(map, "custom");
        let custom = self.object(&custom, &format!("{AT}custom"));
        let style = self.custom(custom, &format!("{AT}custom."), kind);
        let display_name = self.name(&map_get(map, "displayName"), &format!("{AT}displayName"));
        let no_value = self.text(&map_get(map, "noValue"), &format!("{AT}noValue"));
        Field {
            unit: self.unit(&map_get(map, "unit"), &format!("{AT}unit")),
            decimals: self.decimals(&map_get(map, "decimals"), &format!("{AT}decimals")),
            min: self.number(&map_get(map, "min"), &format!("{AT}min")),
            max: self.number(&map_get(map, "max"), &format!("{AT}max")),
            display_name: (!display_name.is_empty()).then_some(display_name),
            no_value: (!no_value.is_empty()).then_some(no_value),
            color,
            color_by_threshold,
            thresholds: read,
            percentage_thresholds: mode == "percentage",
            mappings: self.mappings(&map_get(map, "mappings"), &format!("{AT}mappings")),
            ..style
        }
    }

    fn custom(&mut self, map: &Map<String, Value>, at: &str, kind: &Kind) -> Field {
        let mut field = Field { line_width: 1.0, ..Field::default() };
        if *kind != Kind::Timeseries {
            // Tables: alignment and cell painting; the others have nothing of their own.
            self.only(
                map,
                at,
                &[],
                &["align", "cellOptions", "displayMode", "filterable", "inspect", "width", "hideFrom"],
            );
            return field;
        }
        self.only(
            map,
            at,
            &[
                "drawStyle",
                "lineInterpolation",
                "lineWidth",
                "fillOpacity",
                "spanNulls",
                "stacking",
                "thresholdsStyle",
                "scaleDistribution",
                "axisPlacement",
            ],
            &[
                "gradientMode",
                "showPoints",
                "pointSize",
                "axisLabel",
                "axisColorMode",
                "axisBorderShow",
                "axisGridShow",
                "axisCenteredZero",
                "barAlignment",
                "barWidthFactor",
                "hideFrom",
                "tooltip",
                "viz",
                "legend",
                "insertNulls",
                "lineStyle",
                "axisSoftMin",
                "axisSoftMax",
            ],
        );
        self.word(&map_get(map, "drawStyle"), &format!("{at}drawStyle"), &["line"]);
        self.word(&map_get(map, "axisPlacement"), &format!("{at}axisPlacement"), &["auto", "left"]);
        let distribution = map_get(map, "scaleDistribution");
        let distribution = self.object(&distribution, &format!("{at}scaleDistribution"));
        self.word(&map_get(distribution, "type"), &format!("{at}scaleDistribution.type"), &["linear"]);
        let stacking = map_get(map, "stacking");
        let stacking = self.object(&stacking, &format!("{at}stacking"));
        self.word(&map_get(stacking, "mode"), &format!("{at}stacking.mode"), &["none"]);
        let known = ["linear", "stepAfter", "stepBefore"];
        field.interpolation =
            match self.word(&map_get(map, "lineInterpolation"), &format!("{at}lineInterpolation"), &known) {
                "stepAfter" => Interpolation::StepAfter,
                "stepBefore" => Interpolation::StepBefore,
                _ => Interpolation::Linear,
            };
        let style = map_get(map, "thresholdsStyle");
        let style = self.object(&style, &format!("{at}thresholdsStyle"));
        let known = ["off", "line", "dashed", "area", "line+area", "dashed+area"];
        let style = self.word(&map_get(style, "mode"), &format!("{at}thresholdsStyle.mode"), &known);
        field.threshold_lines = style.contains("line") || style.contains("dashed");
        field.threshold_areas = style.contains("area");
        field.span_nulls = self.flag(&map_get(map, "spanNulls"), &format!("{at}spanNulls"));
        let width = self.number(&map_get(map, "lineWidth"), &format!("{at}lineWidth"));
        field.line_width = width.unwrap_or(1.0).clamp(0.0, 10.0);
        let opacity = self.number(&map_get(map, "fillOpacity"), &format!("{at}fillOpacity"));
        field.fill_opacity = opacity.unwrap_or(0.0).clamp(0.0, 100.0);
        field
    }

    fn mappings(&mut self, value: &Value, at: &str) -> Vec<(f64, String, Option<String>)> {
        let mut mappings = Vec::new();
        for one in self.list(value, at) {
            let map = self.object(one, at);
            self.only(map, &format!("{at}."), &["type", "options"], &[]);
            self.word(&map_get(map, "type"), &format!("{at}.type"), &["value"]);
            let options = map_get(map, "options");
            for (key, result) in self.object(&options, &format!("{at}.options")) {
                let result = self.object(result, &format!("{at}.options.{key}"));
                self.only(result, &format!("{at}.options.{key}."), &["text", "color"], &["index", "icon"]);
                let text = self.text(&map_get(result, "text"), &format!("{at}.options.{key}.text"));
                let color = result.get("color").map(|one| self.color_name(one, &format!("{at}.options.{key}.color")));
                match key.parse() {
                    Ok(number) => mappings.push((number, text, color)),
                    Err(_) => self.note(&format!("{at}.options.{key}"), "must be a number"),
                }
            }
        }
        mappings
    }

    fn options(&mut self, value: &Value, panel: &mut Panel) {
        let map = self.object(value, "options");
        self.only(
            map,
            "options.",
            &["legend", "reduceOptions", "graphMode", "colorMode", "textMode", "sortBy", "showHeader", "displayMode"],
            &[
                "tooltip",
                "orientation",
                "justifyMode",
                "showThresholdLabels",
                "showThresholdMarkers",
                "showUnfilled",
                "minVizWidth",
                "minVizHeight",
                "maxVizHeight",
                "sizing",
                "valueMode",
                "namePlacement",
                "wideLayout",
                "percentChangeColorMode",
                "showPercentChange",
                "text",
                "footer",
                "cellHeight",
                "frameIndex",
                "timezone",
            ],
        );
        let legend = map_get(map, "legend");
        let legend = self.object(&legend, "options.legend");
        self.only(
            legend,
            "options.legend.",
            &["calcs", "showLegend", "displayMode"],
            &["placement", "sortBy", "sortDesc", "width", "isVisible", "asTable"],
        );
        let calculations = self.calculations(&map_get(legend, "calcs"), "options.legend.calcs");
        if !calculations.is_empty() {
            panel.legend = Some(calculations);
        }
        let known = ["list", "table", "hidden"];
        let mode = self.word(&map_get(legend, "displayMode"), "options.legend.displayMode", &known);
        if mode == "hidden" || legend.get("showLegend") == Some(&Value::Bool(false)) {
            panel.legend = None;
        }
        let reduce = map_get(map, "reduceOptions");
        let reduce = self.object(&reduce, "options.reduceOptions");
        self.only(reduce, "options.reduceOptions.", &["calcs", "values", "fields"], &["limit"]);
        if self.flag(&map_get(reduce, "values"), "options.reduceOptions.values") {
            self.note("options.reduceOptions.values", "is outside what is drawn here; reduce to one value a series");
        }
        self.word(&map_get(reduce, "fields"), "options.reduceOptions.fields", &["", "/^Value$/"]);
        let calculations = self.calculations(&map_get(reduce, "calcs"), "options.reduceOptions.calcs");
        if calculations.len() > 1 {
            self.note("options.reduceOptions.calcs", "one calculation is drawn");
        }
        if !calculations.is_empty() {
            panel.calculations = calculations;
        }
        if panel.kind == Kind::Stat {
            let graph = self.word(&map_get(map, "graphMode"), "options.graphMode", &["area", "none"]);
            panel.sparkline = graph == "area";
            let known = ["value", "background", "background_solid", "none"];
            let color = self.word(&map_get(map, "colorMode"), "options.colorMode", &known);
            panel.background = color.starts_with("background");
            let known = ["auto", "value", "value_and_name"];
            self.word(&map_get(map, "textMode"), "options.textMode", &known);
        }
        if panel.kind == Kind::BarGauge {
            self.word(&map_get(map, "displayMode"), "options.displayMode", &["gradient", "basic", "lcd"]);
        }
        let sort = map_get(map, "sortBy");
        if let Some(one) = self.list(&sort, "options.sortBy").first() {
            let one = self.object(one, "options.sortBy");
            let name = self.text(&map_get(one, "displayName"), "options.sortBy.displayName");
            panel.columns.sort = Some((name, self.flag(&map_get(one, "desc"), "options.sortBy.desc")));
        }
    }

    fn calculations(&mut self, value: &Value, field: &str) -> Vec<Calculation> {
        let mut calculations = Vec::new();
        for one in self.list(value, field) {
            match one.as_str().and_then(Calculation::by_id) {
                Some(calculation) => calculations.push(calculation),
                None => self.note(field, &format!("{one} is outside what is computed here")),
            }
        }
        calculations
    }

    fn transformations(&mut self, value: &Value, panel: &mut Panel) {
        for one in self.list(value, "transformations") {
            let map = self.object(one, "transformations");
            self.only(map, "transformations.", &["id", "options"], &[]);
            self.word(&map_get(map, "id"), "transformations.id", &["organize"]);
            let options = map_get(map, "options");
            let options = self.object(&options, "transformations.options");
            let known = ["excludeByName", "renameByName", "indexByName"];
            self.only(options, "transformations.options.", &known, &["includeByName"]);
            let hidden = map_get(options, "excludeByName");
            for (name, flag) in self.object(&hidden, "transformations.options.excludeByName") {
                if self.flag(flag, "transformations.options.excludeByName") {
                    panel.columns.hidden.push(name.clone());
                }
            }
            let renamed = map_get(options, "renameByName");
            for (name, shown) in self.object(&renamed, "transformations.options.renameByName") {
                let shown = self.text(shown, "transformations.options.renameByName");
                panel.columns.renamed.insert(name.clone(), shown);
            }
            let order = map_get(options, "indexByName");
            for (name, at) in self.object(&order, "transformations.options.indexByName") {
                let at = self.whole(at, "transformations.options.indexByName", 1000);
                panel.columns.order.insert(name.clone(), at);
            }
        }
    }
}

/// What may stand for the range shown in a panel's link.
const RANGE_VARIABLES: [&str; 3] = ["__from", "__to", "__url_time_range"];

/// The value of a key; what isn't there is null.
fn map_get(map: &Map<String, Value>, key: &str) -> Value {
    map.get(key).cloned().unwrap_or_default()
}

/// Whether a panel's datasource holds logs.
fn asks_logs(datasource: &Value) -> bool {
    datasource["type"].as_str().is_some_and(aiclipx_model::monitoring::holds_logs)
}
