//! A panel: its queries, how it looks, and how its values do.

use super::super::fields::{At, Map, Reader};
use super::super::{
    Calculation, Columns, Field, Grid, Interpolation, Kind, Link, Matcher, Override, Panel, Property, Target,
    Threshold, pattern_matches,
};
use crate::{draw, format};
use aiclipx_model::monitoring::holds_logs;

/// Reads a panel, and behind it those that it holds as a row. It is in none of them where `within` is.
pub(super) fn read(reader: &Reader<'_>, dashboard: &str, at: &At<'_>, within: Option<u32>, panels: &mut Vec<Panel>) {
    dashboard.clone_into(&mut reader.place.borrow_mut());
    reader.panel.set(None);
    let map = at.map();
    let title = map.at("title").text();
    let id = map.at("id").called(format!("panels.{title}.id")).needed(1_000_000);
    *reader.place.borrow_mut() = format!("{dashboard}, panel {id} \"{title}\"");
    reader.panel.set(Some(id));
    let map = map.called("");
    let kind = kind(&map, within.is_some());
    let grid = map.at("gridPos").map();
    let place = |key, most| grid.at(key).whole(most).unwrap_or(0);
    let mut panel = Panel {
        id,
        title,
        description: map.at("description").text(),
        kind,
        grid: Grid { x: place("x", 24), y: place("y", 100_000), w: place("w", 24), h: place("h", 1_000) },
        within,
        folded: false,
        datasource: None,
        targets: Vec::new(),
        defaults: Field::default(),
        overrides: Vec::new(),
        calculations: vec![Calculation::LastNotNull],
        legend: Some(vec![Calculation::LastNotNull, Calculation::Mean, Calculation::Max]),
        sparkline: false,
        columns: Columns::default(),
        links: map.at("links").items().iter().filter_map(|one| link(reader, one)).collect(),
    };
    grid.only("static");
    match panel.kind {
        Kind::Undrawn(_) => panels.push(panel),
        Kind::Logs(_) => {
            panel.datasource = map.at("datasource").map().at("uid").source();
            panel.kind = Kind::Logs(map.at("targets").items().iter().filter_map(log_query).collect());
            panels.push(panel);
        }
        Kind::Row => {
            panel.folded = map.at("collapsed").flag();
            panels.push(panel);
            // A folded row holds its panels; of an open one they follow.
            let inner = map.at("panels").items();
            map.only("datasource targets");
            for one in inner {
                read(reader, dashboard, &one, Some(id), panels);
            }
        }
        _ => {
            panel.datasource = map.prometheus();
            panel.targets = map.at("targets").items().iter().filter_map(target).collect();
            field_config(&map.at("fieldConfig").map(), &mut panel);
            options(&map.at("options").map(), &mut panel);
            transformations(&map.at("transformations"), &mut panel.columns);
            map.only("pluginVersion transparent hideTimeOverride libraryPanel");
            panels.push(panel);
        }
    }
}

fn kind(map: &Map<'_>, is_in_a_row: bool) -> Kind {
    let at = map.at("type");
    let kind = at.text();
    let source = map.at("datasource");
    if source.is_map() && source.map().at("type").as_text().is_some_and(holds_logs) {
        return Kind::Logs(Vec::new());
    }
    match kind.as_str() {
        "timeseries" => Kind::Timeseries,
        "stat" => Kind::Stat,
        "bargauge" => Kind::BarGauge,
        "table" => Kind::Table,
        "row" if !is_in_a_row => Kind::Row,
        other => {
            match other {
                "" => at.note("must be there"),
                "row" => at.note("a row in a row"),
                _ => {}
            }
            Kind::Undrawn(other.to_owned())
        }
    }
}

/// What may stand for the range shown in a panel's link.
const RANGE_VARIABLES: [&str; 3] = ["__from", "__to", "__url_time_range"];

fn link(reader: &Reader<'_>, at: &At<'_>) -> Option<Link> {
    let map = at.map();
    let without = |url: String, name: &str| url.replace(&format!("${{{name}}}"), "");
    // Where it leads there is no choice of datasources.
    let url = reader.sources.borrow().iter().fold(map.at("url").text(), |url, name| without(url, name));
    let title = map.at("title").text();
    map.only("targetBlank type icon tooltip");
    // What else can stand in an address could do more than lead somewhere.
    let is_of_the_web = ["/", "http://", "https://"].iter().any(|begin| url.starts_with(begin));
    let bare = RANGE_VARIABLES.into_iter().fold(url.clone(), without);
    if !is_of_the_web || url.starts_with("//") || bare.contains('$') {
        let what = format!("`{url}` is no path and no address of the web, or has variables but those of the range");
        map.at("url").note(&what);
        return None;
    }
    Some(Link { title, url })
}

fn target(at: &At<'_>) -> Option<Target> {
    let map = at.map();
    let exemplar = map.at("exemplar");
    exemplar.outside_unless(exemplar.as_flag() == Some(false));
    let is_hidden = map.at("hide").flag();
    let target = Target {
        ref_id: map.at("refId").text(),
        expr: map.at("expr").text(),
        legend: map.at("legendFormat").text(),
        instant: map.at("instant").flag(),
        range: map.at("range").flag(),
    };
    map.only("datasource format editorMode useBackend disableTextWrap fullMetaSearch includeNullMetadata");
    if is_hidden {
        return None;
    }
    map.prometheus();
    map.at("format").word(&["time_series", "table"]);
    if target.expr.trim().is_empty() {
        map.at("expr").note("must be there");
    }
    Some(target)
}

fn log_query(at: &At<'_>) -> Option<String> {
    let map = at.map();
    let query = map.at("expr").text();
    if query.trim().is_empty() {
        map.at("expr").note("must be there");
    }
    (!map.at("hide").flag()).then_some(query)
}

fn field_config(map: &Map<'_>, panel: &mut Panel) {
    panel.defaults = defaults(&map.at("defaults").map(), &panel.kind);
    for one in map.at("overrides").items() {
        let map = one.map();
        let matcher = map.at("matcher").map();
        let options = matcher.at("options");
        let matcher = match matcher.at("id").word(&["byName", "byRegexp"]) {
            "byRegexp" => {
                let pattern = options.text();
                if pattern_matches(&pattern, "").is_none() {
                    options.note(&format!("the expression `{pattern}` is outside what is matched here"));
                }
                Matcher::ByRegexp(pattern)
            }
            _ => Matcher::ByName(options.text()),
        };
        let properties = map.at("properties").items().iter().filter_map(property).collect();
        map.only("");
        panel.overrides.push(Override { matcher, properties });
    }
    map.only("");
}

fn property(at: &At<'_>) -> Option<Property> {
    let map = at.map();
    let id = map.at("id").text();
    let value = map.at("value").called(format!("fieldConfig.overrides.{id}"));
    match id.as_str() {
        "unit" => Some(Property::Unit(unit(&value))),
        "decimals" => decimals(&value).map(Property::Decimals),
        "displayName" => Some(Property::DisplayName(name(&value))),
        "color" => color(&value).0.map(Property::Color),
        "min" => value.number().map(Property::Min),
        "max" => value.number().map(Property::Max),
        "custom.lineWidth" => value.number().map(Property::LineWidth),
        "custom.fillOpacity" => value.number().map(Property::FillOpacity),
        // A table's column widths are ours to choose, and how a cell is painted is its threshold's.
        "custom.width" | "custom.align" | "custom.cellOptions" => None,
        _ => {
            value.note("is outside what is drawn here");
            None
        }
    }
}

/// A name as it stands: what Grafana would fill in is refused.
fn name(at: &At<'_>) -> String {
    let name = at.text();
    if name.contains("${") {
        at.note("variables in names are outside what is drawn here; use legendFormat");
    }
    name
}

fn unit(at: &At<'_>) -> String {
    let unit = at.text();
    if !format::is_known(&unit) {
        at.note(&format!("the unit `{unit}` is outside what is written here"));
    }
    unit
}

fn decimals(at: &At<'_>) -> Option<u8> {
    at.whole(12).and_then(|digits| u8::try_from(digits).ok())
}

/// A fixed colour, and whether thresholds colour.
fn color(at: &At<'_>) -> (Option<String>, bool) {
    let map = at.map();
    let fixed = map.at("fixedColor");
    let color = match map.at("mode").word(&["palette-classic", "fixed", "thresholds"]) {
        "fixed" => (Some(color_name(&fixed)), false),
        mode => (None, mode == "thresholds"),
    };
    map.only("seriesBy");
    color
}

fn color_name(at: &At<'_>) -> String {
    let color = at.text();
    if !draw::theme::is_color(&color) {
        at.note(&format!("`{color}` is no colour known here; write #rrggbb"));
    }
    color
}

fn defaults(map: &Map<'_>, kind: &Kind) -> Field {
    let (color, color_by_threshold) = match map.at("color") {
        at if at.is_there() => color(&at),
        // Grafana's own default: thresholds for everything but lines.
        _ => (None, *kind != Kind::Timeseries),
    };
    let thresholds = map.at("thresholds").map();
    thresholds.at("mode").word(&["absolute"]);
    let steps = steps(&thresholds.at("steps"));
    thresholds.only("");
    let custom = map.at("custom").map();
    let style = if *kind == Kind::Timeseries { lines(&custom) } else { of_no_lines(&custom) };
    let field = Field {
        unit: unit(&map.at("unit")),
        decimals: decimals(&map.at("decimals")),
        min: map.at("min").number(),
        max: map.at("max").number(),
        display_name: Some(name(&map.at("displayName"))).filter(|name| !name.is_empty()),
        no_value: map.at("noValue").words(),
        color,
        color_by_threshold,
        thresholds: steps,
        mappings: mappings(&map.at("mappings")),
        ..style
    };
    map.only("links description fieldMinMax");
    field
}

fn steps(at: &At<'_>) -> Vec<Threshold> {
    let mut read: Vec<Threshold> = Vec::new();
    for one in at.items() {
        let step = one.map();
        // The first step is the base, whatever its value says.
        let value = step.at("value").number().filter(|_| !read.is_empty()).unwrap_or(f64::NEG_INFINITY);
        if read.last().is_some_and(|last| last.value >= value) {
            one.note("must go upwards");
        }
        read.push(Threshold { value, color: color_name(&step.at("color")) });
    }
    read
}

/// Of tables: alignment and cell painting, which are ours to choose; the others have nothing of their own.
fn of_no_lines(map: &Map<'_>) -> Field {
    map.only("align cellOptions displayMode filterable inspect width hideFrom");
    Field { line_width: 1.0, ..Field::default() }
}

fn lines(map: &Map<'_>) -> Field {
    map.at("drawStyle").word(&["line"]);
    map.at("axisPlacement").word(&["auto", "left"]);
    map.at("scaleDistribution").map().at("type").word(&["linear"]);
    map.at("stacking").map().at("mode").word(&["none"]);
    let interpolation = match map.at("lineInterpolation").word(&["linear", "stepAfter", "stepBefore"]) {
        "stepAfter" => Interpolation::StepAfter,
        "stepBefore" => Interpolation::StepBefore,
        _ => Interpolation::Linear,
    };
    let thresholds = map.at("thresholdsStyle").map().at("mode").word(&["off", "line"]);
    let field = Field {
        interpolation,
        threshold_lines: thresholds == "line",
        span_nulls: map.at("spanNulls").flag(),
        line_width: map.at("lineWidth").number().unwrap_or(1.0).clamp(0.0, 10.0),
        fill_opacity: map.at("fillOpacity").number().unwrap_or(0.0).clamp(0.0, 100.0),
        ..Field::default()
    };
    map.only(
        "gradientMode showPoints pointSize axisLabel axisColorMode axisBorderShow axisGridShow \
         axisCenteredZero barAlignment barWidthFactor hideFrom tooltip viz legend insertNulls lineStyle \
         axisSoftMin axisSoftMax",
    );
    field
}

fn mappings(at: &At<'_>) -> Vec<(f64, String, Option<String>)> {
    let mut mappings = Vec::new();
    for one in at.items() {
        let map = one.map();
        map.at("type").word(&["value"]);
        for (key, at) in map.at("options").map().entries() {
            let result = at.map();
            let color = result.at("color");
            let color = color.is_there().then(|| color_name(&color));
            match key.parse() {
                Ok(number) => mappings.push((number, result.at("text").text(), color)),
                Err(_) => at.note("must be a number"),
            }
            result.only("text index icon");
        }
        map.only("");
    }
    mappings
}

fn options(map: &Map<'_>, panel: &mut Panel) {
    let legend = map.at("legend").map();
    let shown = calculations(&legend.at("calcs"));
    if !shown.is_empty() {
        panel.legend = Some(shown);
    }
    let mode = legend.at("displayMode").word(&["list", "table", "hidden"]);
    if mode == "hidden" || legend.at("showLegend").as_flag() == Some(false) {
        panel.legend = None;
    }
    legend.only("placement sortBy sortDesc width isVisible asTable");
    let reduce = map.at("reduceOptions").map();
    if reduce.at("values").flag() {
        reduce.at("values").note("is outside what is drawn here; reduce to one value a series");
    }
    reduce.at("fields").word(&["", "/^Value$/"]);
    let reduced = calculations(&reduce.at("calcs"));
    if reduced.len() > 1 {
        reduce.at("calcs").note("one calculation is drawn");
    }
    if !reduced.is_empty() {
        panel.calculations = reduced;
    }
    reduce.only("limit");
    if panel.kind == Kind::Stat {
        panel.sparkline = map.at("graphMode").word(&["area", "none"]) == "area";
        map.at("colorMode").word(&["value"]);
        map.at("textMode").word(&["auto"]);
    }
    if panel.kind == Kind::BarGauge {
        map.at("displayMode").word(&["basic"]);
    }
    if let Some(one) = map.at("sortBy").items().first() {
        let one = one.map();
        panel.columns.sort = Some((one.at("displayName").text(), one.at("desc").flag()));
    }
    map.only(OPTIONS_OF_NO_BEARING);
}

/// The first four have one on some kinds of panels alone.
const OPTIONS_OF_NO_BEARING: &str = "graphMode colorMode textMode displayMode showHeader tooltip orientation justifyMode \
    showThresholdLabels showThresholdMarkers showUnfilled minVizWidth minVizHeight maxVizHeight sizing \
    valueMode namePlacement wideLayout percentChangeColorMode showPercentChange text footer cellHeight \
    frameIndex timezone";

fn calculations(at: &At<'_>) -> Vec<Calculation> {
    let mut calculations = Vec::new();
    for one in at.items() {
        match one.as_text().and_then(Calculation::by_id) {
            Some(calculation) => calculations.push(calculation),
            None => one.note(&format!("{} is outside what is computed here", one.shown())),
        }
    }
    calculations
}

fn transformations(at: &At<'_>, columns: &mut Columns) {
    for one in at.items() {
        let map = one.map();
        map.at("id").word(&["organize"]);
        let options = map.at("options").map();
        for (name, hidden) in options.at("excludeByName").map().entries() {
            if hidden.flag() {
                columns.hidden.push(name.to_owned());
            }
        }
        for (name, shown) in options.at("renameByName").map().entries() {
            columns.renamed.insert(name.to_owned(), shown.text());
        }
        for (name, order) in options.at("indexByName").map().entries() {
            columns.order.insert(name.to_owned(), order.needed(1000));
        }
        options.only("includeByName");
        map.only("");
    }
}
