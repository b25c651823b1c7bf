//! What is drilled: rules, unit tests and Alertmanager's configuration, gathered from a folder or by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;

use aiclipx_judge::drill::given::{Role, role};
use aiclipx_model::drill::alertmanager::Configuration;
use aiclipx_model::drill::expected;
use aiclipx_model::drill::secrets::without_secrets;
use aiclipx_model::drill::tests::{TestFile, plain};
use aiclipx_model::failure::Failure;
use aiclipx_model::files;
use aiclipx_model::monitoring::located;

/// Files by their path below a folder.
#[derive(Debug)]
pub struct Found {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Alertmanager's configuration among them.
    pub alertmanager: PathBuf,
    /// That configuration as it stands: what a drill keeps holds no secret.
    pub configuration: Vec<u8>,
    /// What lies in the folder and was not read, and why.
    pub passed_over: Vec<String>,
}

/// No file of rules or tests has more.
const LARGEST: u64 = 4 << 20;

/// Looks in a folder, and takes the tests and the configuration that are named besides; those alone where there is no folder.
pub fn look(folder: Option<&Path>, tests: &[PathBuf], alertmanager: Option<&Path>) -> Result<Found, Failure> {
    let mut gathered = Gathered::default();
    if let Some(folder) = folder {
        let root = absolute(folder)?;
        if !root.is_dir() {
            return Err(Failure::usage(format!("{} is no folder", folder.display())));
        }
        gathered.gather(&root)?;
    }
    let Gathered { files: mut found, mut passed_over, unreadable, .. } = gathered;
    for path in tests {
        let path = absolute(path)?;
        let bytes = files::read(&path).with_context(|| format!("cannot read {}", path.display()));
        found.insert(path, bytes.map_err(Failure::usage)?);
    }
    if !tests.is_empty() {
        // Those that are named, and no others of the folder.
        let named: BTreeSet<PathBuf> = tests.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?;
        found.retain(|path, bytes| role(path, bytes) != Role::Tests || named.contains(path));
    }
    for (path, bytes) in found.clone() {
        if role(&path, &bytes) == Role::Tests {
            beside(&path, &bytes, &mut found)?;
        }
    }
    let configurations = || found.iter().filter(|(path, bytes)| role(path, bytes) == Role::Alertmanager);
    let alertmanager = match alertmanager {
        Some(path) => absolute(path)?,
        None => the_one(configurations().map(|(path, _)| path.clone()).collect(), unreadable)?,
    };
    // What was named is read, wherever it lies.
    passed_over.retain(|(path, _)| *path != alertmanager && !found.contains_key(path));
    let others: Vec<PathBuf> =
        configurations().map(|(path, _)| path.clone()).filter(|path| *path != alertmanager).collect();
    found.retain(|path, _| !others.contains(path));
    let bytes = files::read(&alertmanager).with_context(|| format!("cannot read {}", alertmanager.display()));
    let configuration = bytes.map_err(Failure::usage)?;
    // What is wrong in it is told with the lines that its author knows.
    Configuration::read(&alertmanager, &configuration).map_err(Failure::from)?;
    found.insert(alertmanager.clone(), without_secrets(&configuration).unwrap_or_default());
    let root = common(found.keys());
    let relative = |path: &Path| path.strip_prefix(&root).unwrap_or(path).to_owned();
    passed_over.sort();
    Ok(Found {
        configuration,
        passed_over: passed_over.iter().map(|(path, why)| format!("{}: {why}", relative(path).display())).collect(),
        alertmanager: relative(&alertmanager),
        files: found.iter().map(|(path, bytes)| (relative(path), bytes.clone())).collect(),
    })
}

/// The files that match a pattern of names (`tests/*_test.yml`), as a shell would give them.
pub fn matching(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let path = Path::new(pattern);
    if !pattern.contains(['*', '?']) {
        return Ok(vec![path.to_owned()]);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let read = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()));
    let names = read.map_err(Failure::usage)?.filter_map(|entry| Some(entry.ok()?.path()));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let is_it = |file: &PathBuf| {
        let file = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        aiclipx_model::drill::tests::matches(&name, &file)
    };
    let mut matching: Vec<PathBuf> = names.filter(is_it).collect();
    matching.sort();
    if matching.is_empty() {
        return Err(Failure::usage(format!("no file is called {pattern}")).remedy("--tests names files of unit tests"));
    }
    Ok(matching)
}

/// What lies below a folder.
#[derive(Default)]
struct Gathered {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What may hold rules or tests and was not read, and why.
    passed_over: Vec<(PathBuf, &'static str)>,
    /// A configuration, by its name, that is none that can be read.
    unreadable: Option<Failure>,
    /// So many hidden files were looked at.
    hidden: usize,
}

/// Of what seems to be a `drill.yaml`, why it is not read.
const OTHERWISE_CALLED: &str = "whom alerts are meant for is read of a file that is called drill.yaml, and of no other";
const HIDDEN: &str = "whom alerts are meant for is read of no hidden file, nor in a hidden folder";
/// Hidden files that are looked at: some programs keep thousands.
const MOST_HIDDEN: usize = 20_000;

impl Gathered {
    /// Everything below a folder that is something to a drill. Hidden files, and what lies where programs keep theirs, are left out.
    fn gather(&mut self, folder: &Path) -> Result<(), Failure> {
        let read = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()));
        for entry in read.map_err(Failure::usage)? {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let is_ours = path.extension().is_some_and(|ending| ENDINGS.iter().any(|one| ending == *one));
            if name.starts_with('.') {
                self.pass_over_hidden(path);
                continue;
            }
            if path.is_dir() {
                match () {
                    () if OF_PROGRAMS.contains(&&*name) => {
                        self.pass_over(path, "programs keep what is others' there; --tests names a file in it");
                    }
                    () if path.is_symlink() => self.pass_over(path, "a link to a folder; name the folder itself"),
                    () => self.gather(&path)?,
                }
            } else if is_ours {
                self.take(path)?;
            } else if expected::is_nearly_called_so(&path) {
                self.pass_over(path, OTHERWISE_CALLED);
            }
        }
        Ok(())
    }

    /// Tells of what seems to say whom alerts are meant for and is hidden; what else is hidden is nobody's. Links are not followed,
    /// and where there is more than anybody looks through, no more is.
    fn pass_over_hidden(&mut self, path: PathBuf) {
        let mut ahead = vec![path];
        while let Some(path) = ahead.pop() {
            let is_of_git = path.file_name().is_some_and(|name| name == ".git");
            let is_folder = path.symlink_metadata().is_ok_and(|there| there.is_dir());
            if is_folder && !is_of_git {
                let entries = std::fs::read_dir(&path).into_iter().flatten();
                ahead.extend(
                    entries.filter_map(|entry| Some(entry.ok()?.path())).take(MOST_HIDDEN.saturating_sub(self.hidden)),
                );
            } else if !is_folder && (expected::is_called_so(&path) || expected::is_nearly_called_so(&path)) {
                self.pass_over(path, HIDDEN);
            }
            self.hidden += 1;
        }
    }

    fn take(&mut self, path: PathBuf) -> Result<(), Failure> {
        match path.metadata() {
            Ok(there) if there.is_file() && there.len() <= LARGEST => {}
            Ok(there) if there.is_file() => {
                self.pass_over(path, "more than 4 MiB; split it, or name it in a test");
                return Ok(());
            }
            _ => {
                self.pass_over(path, "no file, or a link to none");
                return Ok(());
            }
        }
        let bytes = files::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let is_called_so = path.file_stem().is_some_and(|stem| stem == "alertmanager");
        if role(&path, &bytes) != Role::None {
            self.files.insert(path, bytes);
        } else if expected::is_nearly_called_so(&path) || located::read(&bytes).is_ok_and(|one| expected::says_so(&one))
        {
            self.pass_over(path, OTHERWISE_CALLED);
        } else if relabels_alerts(&bytes) {
            self.pass_over(path, "its alert_relabel_configs are not lived: alerts are told as the rules make them");
        } else if is_called_so && let Err(found) = Configuration::read(&path, &bytes) {
            self.unreadable = Some(found.into());
        }
        Ok(())
    }

    fn pass_over(&mut self, path: PathBuf, why: &'static str) {
        self.passed_over.push((path, why));
    }
}

/// Whether it is a configuration of Prometheus' that changes alerts on their way, or drops them.
fn relabels_alerts(bytes: &[u8]) -> bool {
    let document = located::read(bytes).ok();
    document.is_some_and(|document| {
        document.get("alerting").is_some_and(|alerting| !alerting.items_of("alert_relabel_configs").is_empty())
    })
}

/// What files end in that may be something to a drill.
const ENDINGS: [&str; 6] = ["yml", "yaml", "rules", "tmpl", "gotmpl", "json"];
/// Folders in which programs keep what is not the user's own.
const OF_PROGRAMS: [&str; 3] = ["vendor", "node_modules", "target"];

/// The rule files that a test names, wherever they lie.
fn beside(test: &Path, bytes: &[u8], found: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<(), Failure> {
    let read = TestFile::read(test, bytes)?;
    for pattern in &read.rule_files {
        let path = plain(&test.parent().unwrap_or(Path::new("/")).join(pattern));
        let shown = path.to_string_lossy();
        let named = if shown.contains(['*', '?']) { matching(&shown).unwrap_or_default() } else { vec![path.clone()] };
        if named.is_empty() || !named.iter().all(|path| path.is_file()) {
            return Err(Failure::usage(format!("{}: there is no rule file {pattern}", test.display()))
                .remedy(
                    "rule files are named relative to the test, as promtool takes them; to leave this test out name those that \
                     you mean, as --tests 'tests/*.yml'",
                ));
        }
        for path in named {
            let bytes = files::read(&path).with_context(|| format!("cannot read {}", path.display()));
            found.insert(path, bytes.map_err(Failure::usage)?);
        }
    }
    Ok(())
}

/// Of several configurations, the one that is called as Alertmanager's usually is.
fn the_one(mut all: Vec<PathBuf>, unreadable: Option<Failure>) -> Result<PathBuf, Failure> {
    let usual = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem == "alertmanager");
    if all.len() > 1 && all.iter().filter(|path| usual(path)).count() == 1 {
        all.retain(usual);
    }
    match &all[..] {
        [one] => Ok(one.clone()),
        [] if let Some(failure) = unreadable => Err(failure),
        [] => Err(Failure::usage("there is no configuration of Alertmanager here, so nobody would be told")
            .remedy("--alertmanager FILE names one")),
        [first, second, ..] => {
            Err(Failure::usage(format!("{} and {} both configure Alertmanager", first.display(), second.display()))
                .remedy("--alertmanager FILE names the one to drill"))
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(path).with_context(|| format!("{} is no usable path", path.display()));
    Ok(plain(&absolute.map_err(Failure::usage)?))
}

/// The deepest folder that holds all of them.
fn common<'a>(mut paths: impl Iterator<Item = &'a PathBuf>) -> PathBuf {
    let mut common = paths.next().and_then(|path| path.parent()).unwrap_or(Path::new("/")).to_owned();
    for path in paths {
        while !path.starts_with(&common) && common.pop() {}
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_is_told_unless_it_is_named() {
        let place = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = place.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let rules = "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]";
        write("am.yml", "{route: {receiver: r}, receivers: [{name: r}]}");
        write("rules.yml", rules);
        write("vendor/rules.yml", rules);
        write("other/rules.yml", rules);
        write("large.yml", &format!("{rules}\n#{}", "x".repeat(5 << 20)));
        write("plain.yml", "{scrape_configs: [], alerting: {alertmanagers: []}}");
        write("relabels.yml", "{alerting: {alert_relabel_configs: [{action: drop, regex: A}]}}");
        write("large.txt", &"x".repeat(5 << 20));
        let meant = "expected: [{alertname: A, receivers: [r]}]";
        for file in
            ["Drill.yaml", "drill.yaml.bak", "who.yml", ".github/deep/drill.yaml", ".drill.yml", ".git/drill.yaml"]
        {
            write(file, meant);
        }
        std::os::unix::fs::symlink(place.path().join("other"), place.path().join("link")).unwrap();
        let passed_over = |tests: &[PathBuf]| look(Some(place.path()), tests, None).unwrap().passed_over;
        let told = passed_over(&[]);
        let files: Vec<&str> = told.iter().filter_map(|one| Some(one.split_once(": ")?.0)).collect();
        let seem_to_be_one = [".drill.yml", ".github/deep/drill.yaml", "Drill.yaml", "drill.yaml.bak"];
        let others = ["large.yml", "link", "relabels.yml", "vendor", "who.yml"];
        assert_eq!(files, [&seem_to_be_one[..], &others].concat(), "{told:?}");
        write("t.yml", "{rule_files: [large.yml], tests: []}");
        let told = passed_over(&[place.path().join("t.yml")]);
        assert_eq!(told.len(), files.len() - 1, "{told:?}");
    }
}
