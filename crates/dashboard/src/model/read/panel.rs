//! A panel: what kind it is of, where it stands, where it leads. Rows hold panels; a library's panel is not in the file.

use super::super::fields::{At, Map, Reader, id_of};
use super::super::{Asking, Calculation, Columns, Field, Grid, Kind, Link, Panel};
use super::{looks, queries};
use aiclipx_model::monitoring::datasources::Source;

/// Reads a panel, and behind it those that it holds as a row. It is in none of them where `within` is.
pub(super) fn read(reader: &Reader<'_>, dashboard: &str, at: &At<'_>, within: Option<u32>, panels: &mut Vec<Panel>) {
    dashboard.clone_into(&mut reader.place.borrow_mut());
    reader.panel.set(None);
    let map = at.map();
    let Some(node) = map.node() else { return };
    let title = map.at("title").as_text().unwrap_or_default().to_owned();
    // Of two panels of one id Grafana gives the second another, as one that has none.
    map.at("id");
    let own = id_of(node).filter(|id| panels.iter().all(|panel| panel.id != *id));
    let id = own.unwrap_or_else(|| reader.next_id.replace(reader.next_id.get().saturating_add(1)));
    *reader.place.borrow_mut() = format!("{dashboard}, panel {id} \"{title}\"");
    reader.panel.set(Some(id));
    let map = map.called("");
    let kind = kind(reader, &map, within.is_some());
    let grid = map.at("gridPos").map();
    let place = |key, most| grid.at(key).whole(most).unwrap_or(0);
    let grid_of = Grid { x: place("x", 24), y: place("y", 100_000), w: place("w", 24), h: place("h", 1_000) };
    grid.only("static");
    let mut panel = Panel { grid: grid_of, within, ..empty(id, title, kind) };
    map.at("description").as_text().unwrap_or_default().clone_into(&mut panel.description);
    panel.links = map.at("links").items().iter().filter_map(|one| link(reader, one)).collect();
    match panel.kind {
        Kind::Undrawn(_) => {
            queries::read(reader, &map, &mut panel);
            panels.push(panel);
        }
        Kind::Logs(_) => {
            queries::read(reader, &map, &mut panel);
            panel.kind = Kind::Logs(queries::of_logs(&map));
            panel.targets.clear();
            panel.elsewhere.clear();
            panels.push(panel);
        }
        Kind::Row => {
            panel.folded = map.at("collapsed").as_flag() == Some(true);
            queries::read(reader, &map, &mut panel);
            panels.push(panel);
            // A folded row holds its panels; of an open one they follow.
            let inner = map.at("panels").items();
            map.only("datasource targets repeat repeatDirection maxPerRow showTitle titleSize");
            for one in inner {
                read(reader, dashboard, &one, Some(id), panels);
            }
        }
        _ => {
            queries::read(reader, &map, &mut panel);
            queries::note_elsewhere(&map, &panel);
            looks::read(&map, &mut panel);
            map.only(OF_NO_BEARING);
            panels.push(panel);
        }
    }
}

/// What a panel of a drawn kind has that no picture shows: some of it is a former kind's and Grafana does not read it any more.
const OF_NO_BEARING: &str = "pluginVersion transparent hideTimeOverride libraryPanel repeat repeatDirection maxPerRow \
    repeatPanelId repeatIteration repeatedByRow scopedVars datasource interval maxDataPoints timeFrom timeShift \
    cacheTimeout queryCachingTTL error isNew span minSpan height editable renderer \
    yaxes yaxis xaxis seriesOverrides nullPointMode fill fillGradient linewidth lines points pointradius bars stack \
    steppedLine percentage dashes dashLength spaceLength aliasColors tooltip legend thresholds timeRegions decimals \
    colors colorBackground colorValue format gauge mappingType mappingTypes nullText postfix postfixFontSize prefix \
    prefixFontSize rangeMaps sparkline tableColumn valueFontSize valueMaps valueName styles columns fontSize scroll sort \
    showHeader pageSize transform alert";

/// A panel that says nothing yet.
fn empty(id: u32, title: String, kind: Kind) -> Panel {
    Panel {
        id,
        title,
        description: String::new(),
        kind,
        grid: Grid::default(),
        within: None,
        folded: false,
        datasource: None,
        targets: Vec::new(),
        elsewhere: Vec::new(),
        asking: Asking::default(),
        undrawn: Vec::new(),
        defaults: Field::default(),
        overrides: Vec::new(),
        calculations: vec![Calculation::LastNotNull],
        legend: Some(vec![Calculation::LastNotNull, Calculation::Mean, Calculation::Max]),
        sparkline: false,
        plain: false,
        columns: Columns::default(),
        links: Vec::new(),
    }
}

/// Rows as dashboards had them before Grafana 5: each with its panels, which have widths of twelve and no places.
pub(super) fn read_rows(reader: &Reader<'_>, dashboard: &str, rows: &[At<'_>], panels: &mut Vec<Panel>) {
    let maps: Vec<Map<'_>> = rows.iter().map(At::map).collect();
    let flag = |map: &Map<'_>, key| map.at(key).as_flag() == Some(true);
    let is_headed = |map: &Map<'_>| flag(map, "collapse") || flag(map, "showTitle") || map.at("repeat").is_there();
    let has_headlines = maps.iter().any(is_headed);
    let mut top = panels.iter().map(|panel| panel.grid.y.saturating_add(panel.grid.h)).max().unwrap_or(0);
    for map in &maps {
        let height = grid_height(&map.at("height")).unwrap_or(7);
        let mut within = None;
        if has_headlines {
            let id = reader.next_id.replace(reader.next_id.get().saturating_add(1));
            let title = map.at("title").as_text().unwrap_or_default().to_owned();
            let mut row = empty(id, title, Kind::Row);
            row.grid = Grid { x: 0, y: top, w: 24, h: 1 };
            row.folded = flag(map, "collapse");
            queries::read(reader, map, &mut row);
            within = row.folded.then_some(id);
            panels.push(row);
            top += 1;
        }
        let (mut left, mut low) = (0, top);
        for one in map.at("panels").items() {
            let first = panels.len();
            let own = one.map();
            let width = own.at("span").as_number().unwrap_or(4.0).clamp(1.0, 12.0);
            // Twice twelve columns.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let width = width as u32 * 2;
            let high = grid_height(&own.at("height")).unwrap_or(height);
            if left + width > 24 {
                (left, low) = (0, low + height);
            }
            read(reader, dashboard, &one, within, panels);
            if let Some(panel) = panels.get_mut(first) {
                panel.grid = Grid { x: left, y: low, w: width, h: high };
            }
            left += width;
        }
        top = low + height;
    }
}

/// Rows of the grid for a height in pixels: `250px`, 250.
fn grid_height(at: &At<'_>) -> Option<u32> {
    let pixels = at.as_number().or_else(|| at.as_text()?.trim_end_matches("px").parse().ok())?;
    // At most a screen or two.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (pixels >= 1.0).then_some((pixels.min(10_000.0) / 38.0).ceil() as u32)
}

fn kind(reader: &Reader<'_>, map: &Map<'_>, is_in_a_row: bool) -> Kind {
    let at = map.at("type");
    let kind = at.as_text().unwrap_or_default();
    let source = map.node().and_then(|node| reader.sources.named(node));
    if matches!(source, Some(Source::Logs(_))) {
        return Kind::Logs(Vec::new());
    }
    match kind {
        "timeseries" => Kind::Timeseries,
        "stat" => Kind::Stat,
        "bargauge" => Kind::BarGauge,
        "table" => Kind::Table,
        "row" if !is_in_a_row => Kind::Row,
        "" if map.at("libraryPanel").is_there() => {
            map.at("libraryPanel").note("its content is in Grafana's library of panels, not in this file");
            Kind::Undrawn("library panel".to_owned())
        }
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
    let url = reader.choices.iter().fold(map.at("url").text(), |url, name| without(url, name));
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
