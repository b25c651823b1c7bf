//! Unit tests and the rules they test, both divided by one speed: promtool must say of them what it says of what they were made of.
//!
//! A test names its rules by a path. They lie there; or at that path in DIR/rules or DIR/mixins; or there in the folder of the same
//! repository (the first part of a path), by their name alone, which must be one file's. A test whose rules are not here is counted
//! by itself.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use aiclipx_base::duration::Speed;
use aiclipx_model::failure::{Failure, temporary_folder};
use aiclipx_model::monitoring::Monitoring;
use aiclipx_model::monitoring::addresses::Addresses;
use aiclipx_model::monitoring::located::Node;

use crate::configuration::{collect, in_words, unread};
use crate::judges::{Judges, Tested};
use crate::table::{Came, Row};

/// Where a test lies while promtool runs it: deep enough for the paths above itself that it names.
const FOLDER: &str = "one/two/three/four/five/six";
const SPEED: u32 = 30;

/// What came of the tests in a folder.
pub(crate) fn divided(folder: &Path, judges: &Judges) -> Result<Row, Failure> {
    let tests = folder.join("tests");
    let mut files = Vec::new();
    collect(&tests, &mut files)?;
    let mut rules: Vec<Rules> = Vec::new();
    for place in ["rules", "mixins"] {
        let place = folder.join(place);
        let mut all = Vec::new();
        collect(&place, &mut all)?;
        let named = |file: PathBuf| (file.strip_prefix(&place).unwrap_or(&file).to_owned(), file);
        rules.push(all.into_iter().map(named).collect());
    }
    let (mut row, mut passed, mut without) = (Row::new(""), 0, 0);
    for file in &files {
        let name = file.strip_prefix(&tests).unwrap_or(file);
        let Some(pair) = pair(file, name, &rules)? else { continue };
        let Some(pair) = pair.files else {
            without += 1;
            continue;
        };
        let (is_passed, came) = compared(&pair, name, judges)?;
        passed += usize::from(is_passed);
        row.came.push(came);
    }
    row.what = format!("tested at {SPEED}: {passed} pass, {without} others without rules here;");
    Ok(row)
}

/// Files of a folder by their paths in it.
type Rules = Vec<(PathBuf, PathBuf)>;

/// A test with its rules by where they are laid; none of them where a rule is not here.
struct Pair {
    files: Option<BTreeMap<PathBuf, Vec<u8>>>,
}

/// None for a file that is no test.
fn pair(file: &Path, name: &Path, rules: &[Rules]) -> Result<Option<Pair>, Failure> {
    let bytes = std::fs::read(file).map_err(|error| unread(file, &error))?;
    let at = Path::new(FOLDER).join("test.yml");
    let Ok(test) = Monitoring::from_any(BTreeMap::from([(at.clone(), bytes.clone())])) else { return Ok(None) };
    let Some((_, document)) = test.rule_tests().next() else { return Ok(None) };
    let mut files = BTreeMap::from([(at, bytes)]);
    for named in document.items_of("rule_files").iter().filter_map(Node::as_text) {
        let Some(source) = source(file, name, named, rules) else { return Ok(Some(Pair { files: None })) };
        let Some(place) = plain(&Path::new(FOLDER).join(named)) else { return Ok(Some(Pair { files: None })) };
        files.insert(place, std::fs::read(&source).map_err(|error| unread(&source, &error))?);
    }
    Ok(Some(Pair { files: Some(files) }))
}

/// Where the rules lie that a test calls so.
fn source(file: &Path, name: &Path, named: &str, rules: &[Rules]) -> Option<PathBuf> {
    let beside = file.with_file_name(named);
    if beside.is_file() {
        return Some(beside);
    }
    let repository = name.components().next()?;
    let is_it = |(path, _): &&(PathBuf, PathBuf)| {
        path.components().next() == Some(repository) && path.file_name() == Path::new(named).file_name()
    };
    let one_of = |rules: &Rules| {
        let mut found = rules.iter().filter(is_it).map(|(_, file)| file);
        found.next().filter(|_| found.next().is_none()).cloned()
    };
    let there = plain(&name.with_file_name(named))?;
    let at_its_path = |rules: &Rules| rules.iter().find(|(path, _)| *path == there).map(|(_, file)| file.clone());
    rules.iter().find_map(at_its_path).or_else(|| rules.iter().find_map(one_of))
}

/// Without `..`; none for a path that leads out.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => plain.pop().then_some(())?,
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

/// Whether the test passes as it is, and whether what was divided is told the same of.
fn compared(files: &BTreeMap<PathBuf, Vec<u8>>, name: &Path, judges: &Judges) -> Result<(bool, Came), Failure> {
    let before = told(files, judges)?;
    let is_passed = before.iter().any(|(tested, _)| *tested == Tested::Passed);
    let speed = Speed::new(SPEED).map_err(|error| Failure::usage(error.to_string()))?;
    let rendered = Monitoring::from_any(files.clone()).and_then(|all| all.render(&Addresses::canonical(), speed));
    let rendered = match rendered {
        Ok(rendered) => rendered,
        Err(found) if found.iter().all(|finding| finding.line > 0) => return Ok((is_passed, Came::RefusedWithLine)),
        Err(found) => return Ok((is_passed, Came::Wrong(format!("{}: {}", name.display(), in_words(&found))))),
    };
    let after = told(&rendered, judges)?;
    let mut pairs = before.iter().zip(&after);
    let came = match pairs.find(|((before, _), (after, _))| before != after) {
        None => Came::Right,
        Some(((_, was), (tested, is))) => {
            let said = if *tested == Tested::Passed { was } else { is };
            let first = said.lines().map(str::trim).find(|line| line.contains("alertname") || line.contains("expr"));
            let says = if *tested == Tested::Passed { "passes when divided" } else { "fails when divided" };
            Came::Wrong(format!("{}: {says}: {}", name.display(), first.unwrap_or_default()))
        }
    };
    Ok((is_passed, came))
}

/// What each promtool says of a test that is laid out with its rules.
fn told(files: &BTreeMap<PathBuf, Vec<u8>>, judges: &Judges) -> Result<Vec<(Tested, String)>, Failure> {
    let place = temporary_folder()?;
    for (path, bytes) in files {
        let path = place.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(place.path())).map_err(|error| unread(&path, &error))?;
        std::fs::write(&path, bytes).map_err(|error| unread(&path, &error))?;
    }
    judges.each_tests(&place.path().join(FOLDER).join("test.yml"))
}
