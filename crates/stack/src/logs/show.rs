//! Lines as they are written out: for people on a terminal, for programs everywhere else.
//!
//! Programs get one JSON object a line. The service's lines, and whatever else is JSON, pass as they are, with `component`
//! put in front; of other lines the same names hold the same things (`ts`, `level`, `msg`). A name that `component` would
//! hide is told as `subsystem`. A line that belongs to the one before it has that one's time and `"continues":true`.

use std::io::Write;

use serde_json::{Map, Value};

use super::entry::Entry;
use super::line::Level;
use crate::table::Paint;
use aiclipx_model::failure::visible;

/// Who reads.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// Somebody at a terminal.
    People(Paint),
    /// A pipe or a file.
    Programs,
}

/// Writes entries, the component's name in front of each; `width` is the longest name's.
pub(super) fn write(
    out: &mut (dyn Write + Send),
    format: Format,
    width: usize,
    name: &str,
    number: usize,
    entry: &Entry,
) -> std::io::Result<()> {
    match format {
        Format::People(paint) => people(out, paint, width, name, number, entry),
        Format::Programs => programs(out, name, entry),
    }
}

fn people(
    out: &mut (dyn Write + Send),
    paint: Paint,
    width: usize,
    name: &str,
    number: usize,
    entry: &Entry,
) -> std::io::Result<()> {
    let line = &entry.line;
    let time = match line.at {
        Some(at) => at.strftime("%m-%d %H:%M:%S%.3f").to_string(),
        None => " ".repeat("11-26 18:00:00.123".len()),
    };
    let prefix = paint.numbered(number, &format!("{name:<width$} │"));
    let word = format!("{:<5}", line.level.map_or("", Level::word));
    let word = match line.level {
        Some(Level::Error) => paint.error(&word),
        Some(Level::Warn) => paint.warn(&word),
        Some(Level::Info) => paint.ok(&word),
        _ => paint.dim(&word),
    };
    let mut text = visible(&line.message);
    for (key, value) in &line.fields {
        let value = match value {
            Value::String(value) if value.contains([' ', '"', '=']) || value.is_empty() => format!("{value:?}"),
            Value::String(value) => visible(value),
            other => visible(&other.to_string()),
        };
        text += if text.is_empty() { "" } else { " " };
        text += &paint.dim(&format!("{}={value}", visible(key)));
    }
    writeln!(out, "{} {prefix} {word} {text}", paint.dim(&time))
}

fn programs(out: &mut (dyn Write + Send), name: &str, entry: &Entry) -> std::io::Result<()> {
    let line = &entry.line;
    let hides = line.fields.iter().any(|(key, _)| key == "component");
    if line.is_json
        && !hides
        && let Ok(text) = std::str::from_utf8(&entry.bytes)
        && let Some(rest) = text.trim().strip_prefix('{')
    {
        let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
        return writeln!(out, "{{\"component\":{}{comma}{rest}", Value::from(name));
    }
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
    for (key, value) in &line.fields {
        put(if key == "component" { "subsystem" } else { key }, value.clone());
    }
    put("component", name.into());
    if let Some(at) = entry.at {
        put("ts", at.to_string().into());
    }
    if let Some(level) = entry.level {
        put("level", level.word().into());
    }
    put("msg", line.message.as_str().into());
    if line.at.is_none() && entry.at.is_some() {
        put("continues", true.into());
    }
    writeln!(out, "{}", Value::Object(object))
}
