//! A YAML or JSON document as a tree in which every value and every key knows its line.
//!
//! Reading into a tree first, and into meaning afterwards, is what lets us tell all findings of a file rather than
//! the first: a typed reader stops where it first disagrees. JSON is read by the same reader, being YAML. Anchors are
//! followed; printed, their content stands in each place.

use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_saphyr::Spanned;

use super::memo::Memo;
use aiclipx_base::duration;

mod build;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// One-based line in the file; 0 for what `render` made.
    pub line: usize,
    /// Its bytes in the file; none where they are not known.
    pub(crate) span: Range<usize>,
    /// What stands there.
    pub value: Value,
}

/// What a document is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Switch(bool),
    Number(serde_json::Number),
    /// A number of YAML's that JSON has not.
    Infinite(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value; a document's order is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub line: usize,
    pub node: Node,
}

impl Value {
    /// A scalar as text; of anything else, what it is.
    pub(super) fn plain(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Switch(switch) => switch.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Infinite(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// Whether it is to Go as if nobody had written it.
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Switch(switch) => !switch,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::Infinite(_) => false,
            Value::Text(text) => text.is_empty() || duration::parse(text).is_ok_and(|duration| duration.is_zero()),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }
}

impl Node {
    /// Makes a text of a scalar that is none, as Go does where it wants one: `no` and `1.10` stay what was written.
    pub(super) fn make_text(&mut self, source: &[u8]) {
        let written = written(source, &self.span);
        match &self.value {
            Value::Null => self.value = Value::Text(String::new()),
            Value::Number(_) | Value::Switch(_) | Value::Infinite(_) if !written.is_empty() => {
                self.value = Value::Text(written.to_owned());
            }
            _ => {}
        }
    }

    /// The same of every scalar below.
    fn make_texts(&mut self, source: &[u8]) {
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.make_texts(source)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.node.make_texts(source)),
            _ => self.make_text(source),
        }
    }

    /// The same of every scalar in a list or a map that one of these keys has, wherever it stands.
    fn make_texts_below(&mut self, keys: &[&str], source: &[u8]) {
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.make_texts_below(keys, source)),
            Value::Map(entries) => {
                for Entry { key, node, .. } in entries {
                    if keys.contains(&key.as_str()) && matches!(node.value, Value::List(_) | Value::Map(_)) {
                        node.make_texts(source);
                    } else {
                        node.make_texts_below(keys, source);
                    }
                }
            }
            _ => {}
        }
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A key's text.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::as_text)
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// A key's items.
    pub fn items_of(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::items)
    }

    /// The entries of a map; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    /// A key's line, or that of the whole where it isn't there.
    pub fn line_of(&self, key: &str) -> usize {
        self.entries().iter().find(|entry| entry.key == key).map_or(self.line, |entry| entry.line)
    }

    /// What kind of value stands here, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Switch(_) => "true or false",
            Value::Number(_) | Value::Infinite(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// What stands there, to the letter; nothing where that is not known.
pub(super) fn written<'a>(source: &'a [u8], span: &Range<usize>) -> &'a str {
    source.get(span.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default().trim()
}

/// Reads one document; the error is a line (0 when unknown) and what is wrong there.
pub fn read(bytes: &[u8]) -> Result<Node, (usize, String)> {
    static READ: LazyLock<Memo<Result<Node, (usize, String)>>> = LazyLock::new(|| Memo::of(MOST_READ));
    READ.get(bytes, || read_anew(bytes))
}

/// The same with every scalar as the text that was written, for readers that want nothing else.
pub fn read_texts(bytes: &[u8]) -> Result<Node, (usize, String)> {
    let mut node = read(bytes)?;
    node.make_texts(bytes);
    Ok(node)
}

/// The same of what stands below these keys, where a program asks for texts there and for numbers and switches elsewhere.
pub fn read_texts_below(keys: &[&str], bytes: &[u8]) -> Result<Node, (usize, String)> {
    let mut node = read(bytes)?;
    node.make_texts_below(keys, bytes);
    Ok(node)
}

/// Of documents, in bytes: some times a tree of them.
const MOST_READ: usize = 4 << 20;

/// The line at which a second document begins. Programs in Go read the first, and say nothing of another.
pub(crate) fn second_document(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let mut begun = false;
    for (number, line) in text.lines().enumerate() {
        let is_marker = line == "---" || line.starts_with("--- ");
        if is_marker && begun || line == "..." {
            return Some(number + 1);
        }
        begun |= is_marker || !(line.trim().is_empty() || line.starts_with(['#', '%']));
    }
    None
}

fn read_anew(bytes: &[u8]) -> Result<Node, (usize, String)> {
    let text = std::str::from_utf8(bytes).map_err(|error| (0, format!("not UTF-8: {error}")))?;
    let first = second_document(bytes).map(|line| text.split_inclusive('\n').take(line - 1).map(str::len).sum());
    let text = &text[..first.unwrap_or(text.len())];
    // Comments are not asked for: the parser keeps no more than a few of them while it looks ahead.
    let options = serde_saphyr::options! {
        with_snippet: false,
        emit_comments: false,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options)
        .map(Node::from)
        .map_err(|error| (error.location().map_or(0, |location| line(&location)), in_words(&error)))
}

/// The reader's own words speak of its options.
fn in_words(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` stands twice"),
        error => error.to_string(),
    }
}

/// Prints a document as YAML that means the same to a 1.1 reader (Go's) and a 1.2 one.
pub(super) fn print_yaml(node: &Node) -> Result<String, String> {
    // One line a text, however long: who looks for an expression in a copy finds it as it was printed.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: true, min_fold_chars: usize::MAX, folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(node, options).map_err(|error| error.to_string())
}

/// Prints a document as JSON.
pub(super) fn print_json(node: &Node) -> Result<String, String> {
    serde_json::to_string_pretty(node).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn line(location: &serde_saphyr::Location) -> usize {
    usize::try_from(location.line()).unwrap_or(0)
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Node {
        let place = spanned.defined.span();
        let at = place.byte_offset().zip(place.byte_len());
        let at = at.and_then(|(from, length)| Some((usize::try_from(from).ok()?, usize::try_from(length).ok()?)));
        let span = at.map_or(0..0, |(from, length)| from..from + length);
        Node { line: line(&spanned.referenced), span, value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, switch: bool) -> Result<Value, E> {
        Ok(Value::Switch(switch))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(serde_json::Number::from_f64(number).map_or(Value::Infinite(number), Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Spanned<Value>>()? {
            items.push(item.into());
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, Spanned<Value>>()? {
            entries.push(Entry { line: line(&key.referenced), key: key.value, node: node.into() });
        }
        Ok(Value::Map(entries))
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Switch(switch) => serializer.serialize_bool(*switch),
            Value::Number(number) => number.serialize(serializer),
            Value::Infinite(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&entry.key, &entry.node)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than a printer likes a line to be, with runs of blanks where it might fold.
    const LONG: &str = "a text  that is longer than any printer wants a line to be,   so that it may be tempted to fold it: it  must come back with every blank ";

    #[test]
    fn every_value_and_key_knows_its_line() {
        let node = read(b"# a comment\ngroups:\n  - name: one\n    rules:\n      - expr: |\n          up\n")
            .expect("it reads");
        let group = &node.items_of("groups")[0];
        assert_eq!(group.line, 3);
        assert_eq!(group.entries()[1].line, 4);
        let expr = group.items_of("rules")[0].get("expr").expect("it is there");
        assert_eq!((expr.line, expr.as_text()), (6, Some("up\n")), "a block begins with its first line");
    }

    /// A licence, or rules that somebody took out for now.
    #[test]
    fn any_number_of_comments_may_stand_anywhere() {
        let comments = "# a line of a licence\n".repeat(500);
        let text = format!("{comments}groups:\n{comments}  - name: one\n{comments}    rules: []\n{comments}");
        let node = read(text.as_bytes()).expect("it reads");
        assert_eq!(node.items_of("groups")[0].line, 1002);
    }

    #[test]
    fn json_has_lines_too() {
        let node = read(b"{\n  \"a\": [1,\n    0.05, null, true]\n}\n").expect("it reads");
        assert_eq!(node.items_of("a").iter().map(|node| node.line).collect::<Vec<_>>(), [2, 3, 3, 3]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(read(b"a: 1\nb: [1\n").expect_err("it is broken").0, 2);
        assert_eq!(read(b"a: 1\nb: 2\na: 3\n").expect_err("a key stands twice").0, 3);
    }

    #[test]
    fn what_is_printed_reads_back() {
        let texts = [
            "1",
            "0.05",
            "true",
            "on",
            "~",
            "",
            "a: b",
            "- a",
            "#",
            "1e3",
            "0x1f",
            "1:30",
            "{{ $value }}",
            " a ",
            "a\nb\n",
            "yes",
            "null",
            "'",
            "\"",
            "*a",
            "=",
            "<<",
            "2026-01-01",
            "!x",
            "%",
            "@",
            "`",
            "\\d",
            LONG,
        ];
        let node = Node::list(texts.iter().map(|text| Node::text(*text)));
        let printed = print_yaml(&node).expect("it prints");
        let again = read(printed.as_bytes()).expect("it reads");
        let read_back: Vec<_> = again.items().iter().map(Node::as_text).collect();
        assert_eq!(read_back, texts.map(Some), "{printed}");
        assert!(printed.contains(LONG), "a long text was folded: {printed}");
    }
}
