//! What a panel asks: its queries of Prometheus, whom the others ask, and for which times.

use super::super::fields::{At, Map, Reader};
use super::super::{Asking, Panel, Repeat, Target};
use aiclipx_model::monitoring::datasources::Source;

/// Keys of a query that change no picture; some of them Grafana does not read any more.
const OF_NO_BEARING: &str = "datasource editorMode useBackend disableTextWrap fullMetaSearch includeNullMetadata refID \
    queryType metric step legendLink errors datasourceErrors calculatedInterval target query rawQuery key intervalMs \
    maxDataPoints scenarioId adhocFilters fromExploreMetrics app application functions group host item itemTag mode \
    options proxy resultFormat triggers useCaptureVars metricColumn timeColumn timeColumnType where select rawSql \
    legend logBase max min prometheusQuery";

pub(super) fn read(reader: &Reader<'_>, map: &Map<'_>, panel: &mut Panel) {
    panel.asking = asking(map);
    for at in map.at("targets").items() {
        let (Some(own), Some(query)) = (map.node(), at.map().node()) else { continue };
        match reader.sources.of_query(own, query) {
            Source::Prometheus(uid) => {
                if let Some(target) = target(&at, uid) {
                    panel.targets.push(target);
                }
            }
            _ if at.map().at("hide").as_flag() == Some(true) => {}
            Source::Panel => {
                panel.asking.shows = at.map().at("panelId").as_number().and_then(|id| {
                    // Ids are small.
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    (id >= 1.0).then_some(id as u32)
                });
            }
            Source::Logs(_) => panel.elsewhere.push("loki".to_owned()),
            Source::Mixed => panel.elsewhere.push("unknown".to_owned()),
            Source::Other(kind) => panel.elsewhere.push(kind),
        }
    }
    panel.elsewhere.dedup();
    panel.datasource = match map.node().and_then(|node| reader.sources.named(node)) {
        Some(Source::Prometheus(uid) | Source::Logs(uid)) => uid,
        _ => None,
    };
}

/// What a picture of queries that are not all of Prometheus would lack.
pub(super) fn note_elsewhere(map: &Map<'_>, panel: &Panel) {
    for kind in &panel.elsewhere {
        let whom = match kind.as_str() {
            "__expr__" => "what Grafana computes of its other queries".to_owned(),
            "unknown" => "something that is not Prometheus".to_owned(),
            kind => format!("`{kind}`, which is not Prometheus"),
        };
        map.at("datasource").called("datasource.type").note(&format!("it asks {whom}"));
    }
}

fn asking(map: &Map<'_>) -> Asking {
    let text = |key| map.at(key).as_text().unwrap_or_default().trim().to_owned();
    let points = map.at("maxDataPoints");
    let points = points.as_number().or_else(|| points.as_text()?.parse().ok()).filter(|points| *points >= 1.0);
    let repeat = map.at("repeat").as_text().filter(|name| !name.is_empty()).map(|name| Repeat {
        variable: name.to_owned(),
        is_vertical: map.at("repeatDirection").as_text() == Some("v"),
        per_row: map.at("maxPerRow").whole(24).filter(|most| *most > 0).unwrap_or(4),
    });
    Asking {
        min_interval: text("interval"),
        // As many as a picture has pixels, or a few more.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        max_points: points.map(|points| points.min(1e6) as u32),
        time_from: text("timeFrom"),
        time_shift: text("timeShift"),
        shows: None,
        repeat,
        stands_for: std::collections::BTreeMap::new(),
    }
}

/// A query; none where Grafana sends none.
fn target(at: &At<'_>, datasource: Option<String>) -> Option<Target> {
    let map = at.map();
    let is_hidden = map.at("hide").as_flag() == Some(true);
    let exemplar = map.at("exemplar");
    let has_exemplars = exemplar.as_flag() == Some(true);
    let factor = map.at("intervalFactor").as_number().filter(|factor| *factor >= 1.0).unwrap_or(1.0);
    let step = map.at("interval");
    let target = Target {
        ref_id: map.at("refId").text(),
        expr: map.at("expr").text(),
        legend: map.at("legendFormat").text(),
        instant: map.at("instant").as_flag() == Some(true),
        range: map.at("range").as_flag() == Some(true),
        datasource,
        min_step: step.as_text().map(str::trim).unwrap_or_default().to_owned(),
        // A handful.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        factor: factor.min(1e6) as u32,
    };
    map.only(&format!("{OF_NO_BEARING} format"));
    if is_hidden || target.expr.trim().is_empty() {
        return None;
    }
    if has_exemplars && (target.range || !target.instant) {
        exemplar.note("exemplars are not drawn here");
    }
    map.at("format").word(&["time_series", "table"]);
    Some(target)
}

/// The queries of a panel of logs.
pub(super) fn of_logs(map: &Map<'_>) -> Vec<String> {
    let query = |at: &At<'_>| {
        let map = at.map();
        let query = map.at("expr").text();
        if query.trim().is_empty() {
            map.at("expr").note("must be there");
        }
        (map.at("hide").as_flag() != Some(true)).then_some(query)
    };
    map.at("targets").items().iter().filter_map(query).collect()
}
