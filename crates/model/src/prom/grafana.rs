//! What is read of a Grafana's answers, and what one of a version knows; `aiclipx_stack::prom::source` asks.

use serde_json::Value;

use super::answer;

/// The first whose panels ask `/api/ds/query`, and whose dashboards name a datasource by an object.
const ASKS_ITSELF: (u32, u32) = (8, 3);

/// What came with a version, of what our dashboards use; what came before 7.5, the least that is taken, is not here.
const SINCE: [((u32, u32), &str); 2] =
    [((8, 0), "words in the place of values (a 1 that should read `on`)"), ((8, 0), "lines at thresholds")];

/// Whether a Grafana of this version reads a dashboard whose datasources are objects, `{type, uid}`.
pub fn reads_objects(version: &str) -> bool {
    major_and_minor(version).is_none_or(|version| version >= ASKS_ITSELF)
}

/// What panels of ours have that a Grafana of this version knows nothing of, and leaves out without a word.
pub fn leaves_out(version: &str) -> Option<String> {
    let before = |first: (u32, u32)| major_and_minor(version).is_some_and(|version| version < first);
    let unknown: Vec<&str> = SINCE.iter().filter(|(first, _)| before(*first)).map(|(_, what)| *what).collect();
    (!unknown.is_empty()).then(|| unknown.join(" and "))
}

fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

pub fn begin(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim().chars().take(200).collect()
}

/// How many values an answer holds, Grafana's own (frames, or what came before them) or Prometheus' through its proxy; or
/// what is wrong with it, by its status, or by what it says of a query.
pub fn values_in(status: i64, body: &[u8]) -> Result<usize, String> {
    let said: Option<Value> = serde_json::from_slice(body).ok();
    let results = said.as_ref().and_then(|said| said["results"].as_object());
    if let Some(refused) = results.into_iter().flatten().find_map(|(query, result)| refusal(query, result)) {
        return Err(refused);
    }
    if status != 200 {
        return Err(format!("a query was answered {status}: {}", begin(body)));
    }
    let Some(said) = &said else { return Err("an answer is no JSON".to_owned()) };
    if let Some(results) = results {
        return Ok(results.values().map(values_of).sum());
    }
    if said["status"].is_string() {
        // Numbers only: a panel draws nothing of what is none.
        let answer = answer::parse(body).map_err(|error| format!("a query was refused: {error}"))?;
        let series = answer.data.into_series();
        return Ok(series.iter().flat_map(|one| &one.samples).filter(|one| one.value.is_finite()).count());
    }
    Err("an answer has no results".to_owned())
}

fn refusal(query: &str, result: &Value) -> Option<String> {
    let status = result["status"].as_i64().unwrap_or(200);
    let error = result["error"].as_str().filter(|error| !error.is_empty());
    (status != 200 || error.is_some()).then(|| format!("query {query}: {status} {}", error.unwrap_or_default()))
}

/// Columns of frames; or points of series, as Grafana wrote them before it had frames.
fn values_of(result: &Value) -> usize {
    let list = |value: &Value| value.as_array().map_or(&[][..], Vec::as_slice).to_vec();
    let columns = list(&result["frames"]).into_iter().flat_map(|frame| list(&frame["data"]["values"]));
    let series = list(&result["series"]).into_iter();
    columns.map(|column| list(&column).len()).sum::<usize>()
        + series.map(|one| list(&one["points"]).len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_counted_in_every_form_and_a_refusal_is_told() {
        let of = |body: &Value| values_in(200, body.to_string().as_bytes());
        let frame = json!({ "schema": {}, "data": { "values": [[1_795_489_200_000_u64], [1.5]] } });
        assert_eq!(of(&json!({ "results": { "A": { "status": 200, "frames": [frame] } } })), Ok(2));
        assert_eq!(of(&json!({ "results": { "A": { "frames": [{ "data": { "values": [] } }] } } })), Ok(0));
        assert_eq!(of(&json!({ "results": { "A": { "series": [{ "points": [[1, 1000], [1, 2000]] }] } } })), Ok(2));
        let matrix = json!({ "resultType": "matrix", "result": [{ "metric": {}, "values": [[1, "NaN"], [2, "3"]] }] });
        assert_eq!(of(&json!({ "status": "success", "data": matrix })), Ok(1));
        let empty = json!({ "resultType": "vector", "result": [] });
        assert_eq!(of(&json!({ "status": "success", "data": empty })), Ok(0));

        let refused = json!({ "status": "error", "errorType": "bad_data", "error": "unknown function" });
        let told = values_in(400, refused.to_string().as_bytes()).unwrap_err();
        assert!(told.contains("answered 400") && told.contains("unknown function"), "{told}");
        let refused = json!({ "results": { "B": { "status": 400, "error": "parse error" } } });
        assert_eq!(values_in(400, refused.to_string().as_bytes()), Err("query B: 400 parse error".to_owned()));
        assert_eq!(of(&json!({})), Err("an answer has no results".to_owned()));
        assert_eq!(values_in(200, b"<html>"), Err("an answer is no JSON".to_owned()));
    }

    #[test]
    fn which_grafana_reads_a_datasource_as_an_object_is_told_by_its_version() {
        let reads = ["7.5.17", "8.2.9", "8.3.0", "10.4", "13.0.7+security-01", ""].map(reads_objects);
        assert_eq!(reads, [false, false, true, true, true, true]);
        assert!(leaves_out("7.5.17").unwrap().contains("thresholds"));
        assert_eq!(["8.0.1", "13.0.7", "unknown"].map(leaves_out), [None, None, None]);
    }
}
