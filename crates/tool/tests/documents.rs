//! What documents, messages and tables say, held against what there is: commands that can be typed, settings and metrics of the
//! service, the table of tools. Every failure names file and line.

#![expect(clippy::unwrap_used, reason = "a test file throughout: what can't be read fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aiclipx_app::endpoint::Endpoint;
use aiclipx_base::duration::{self, Speed};
use aiclipx_model::failure::without_just;
use aiclipx_model::scenario;

/// What every Unix has and no table needs to name.
const EVERYWHERE: [&str; 4] = ["rm", "mkdir", "true", "printf"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file under a folder of the project, by its path from the root, in order; not what builds and runs leave behind.
fn files(under: &str) -> Vec<PathBuf> {
    const LEFT_BEHIND: [&str; 8] = [".git", "target", "state", ".tools", ".direnv", "dist", "result", "evidence/runs"];
    let mut found = Vec::new();
    let mut folders = vec![root().join(under)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_path_buf();
            if LEFT_BEHIND.iter().any(|left| name == Path::new(left)) {
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// The programs' own sources, of all crates.
fn sources() -> Vec<PathBuf> {
    let of_programs = |file: &PathBuf| {
        let is_rust = file.extension().is_some_and(|kind| kind == "rs");
        is_rust && !file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches")
    };
    files("src").into_iter().chain(files("crates")).filter(of_programs).collect()
}

fn manifest() -> toml::Table {
    read("Cargo.toml").parse().unwrap()
}

struct Tool {
    line: usize,
    cells: BTreeMap<String, String>,
}

fn tools() -> Vec<Tool> {
    let table = read("scripts/tools.tsv");
    let mut lines = table.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    let header: Vec<&str> = lines.next().unwrap().1.split('\t').collect();
    lines
        .map(|(at, line)| {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), header.len(), "scripts/tools.tsv:{}: {} cells", at + 1, cells.len());
            Tool { line: at + 1, cells: header.iter().zip(cells).map(|(&k, v)| (k.to_owned(), v.to_owned())).collect() }
        })
        .collect()
}

fn no_findings(findings: &[String]) {
    let mut text = String::new();
    for finding in findings {
        writeln!(text, "  {finding}").unwrap();
    }
    assert!(findings.is_empty(), "\n{text}");
}

/// What is in one of two places that must have the same, and not in the other.
fn apart(one: &BTreeSet<String>, place: &str, other: &BTreeSet<String>, other_place: &str) -> Vec<String> {
    let missing = |from: &BTreeSet<String>, there: &BTreeSet<String>, names: [&str; 2]| -> Vec<String> {
        from.difference(there).map(|what| format!("{what}: in {}, and not in {}", names[0], names[1])).collect()
    };
    [missing(one, other, [place, other_place]), missing(other, one, [other_place, place])].concat()
}

#[test]
fn what_is_in_one_place_alone_is_told_with_both() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let told = apart(&set(&["a", "b"]), "here", &set(&["b", "c"]), "there");
    assert_eq!(told, ["a: in here, and not in there", "c: in there, and not in here"]);
}

// --- what messages say ---------------------------------------------------------------------------------------------------

#[test]
fn every_command_that_a_message_names_is_there_without_just_too() {
    let mut findings = Vec::new();
    let mut named = 0;
    for file in &sources() {
        let source = read(file);
        let spoken = source.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (at, line) in spoken.filter(|(_, line)| line.contains("`just ")) {
            named += 1;
            if without_just(line).contains("`just ") {
                findings.push(format!("{}:{}: {}", file.display(), at + 1, line.trim()));
            }
        }
    }
    assert!(named > 10, "only {named} messages name a recipe");
    no_findings(&findings);
}

/// What a text tells somebody to type: between backticks, or a line of a block of shell; up to what joins it to another command.
fn typed(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_shell = false;
    for (at, line) in text.lines().enumerate() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            in_shell = fence == "sh";
            continue;
        }
        let whole = [line.split(" #").next().unwrap_or_default()];
        let spans = line.split('`').skip(1).step_by(2);
        let spans: Vec<&str> = if in_shell { whole.to_vec() } else { spans.collect() };
        for command in spans.iter().flat_map(|span| span.split(['|', ';', '&', '('])) {
            let command = command.trim().trim_start_matches("./dev ");
            if command.starts_with("just ") || command.starts_with("aiclipx ") {
                found.push((at + 1, command.to_owned()));
            }
        }
    }
    found
}

/// The recipes of the justfile: whether each takes words of its own, and the tool's command that it hands them to.
fn recipes() -> BTreeMap<String, (bool, Option<String>)> {
    let mut recipes: BTreeMap<String, (bool, Option<String>)> = BTreeMap::new();
    let mut last = String::new();
    for line in read("justfile").lines() {
        // By itself, or through a script of its name.
        let handed = line.strip_suffix(" \"$@\"").and_then(|body| {
            let script = || body.strip_prefix("    @scripts/")?.strip_suffix(".sh {{ tool }}");
            let ours = || ["mutants", "foreign"].iter().find(|one| body == format!("    @{{{{ {one} }}}}"));
            let beside = || ours().map(|one| if *one == "mutants" { "aiclipx-mutants" } else { "aiclipx-foreign" });
            body.strip_prefix("    @{{ tool }} ").or_else(script).or_else(beside)
        });
        if let (Some(command), Some((_, hands))) = (handed, recipes.get_mut(&last)) {
            *hands = Some(command.to_owned());
        }
        let is_head = line.starts_with(|c: char| c == '_' || c.is_ascii_lowercase()) && !line.contains(":=");
        let Some((head, _)) = line.split_once(':').filter(|_| is_head) else { continue };
        let (name, words) = head.split_once(' ').unwrap_or((head, ""));
        name.clone_into(&mut last);
        recipes.insert(last.clone(), (!words.is_empty(), None));
    }
    recipes
}

/// Whether the tool has this command, with these options; or that program beside it.
fn is_understood(command: &str, options: &[&str]) -> Result<(), String> {
    let mut help = match command {
        "aiclipx-mutants" => Command::new(env!("CARGO_BIN_EXE_aiclipx-mutants")),
        "aiclipx-foreign" => Command::new(env!("CARGO_BIN_EXE_aiclipx-foreign")),
        command => {
            let mut tool = Command::new(env!("CARGO_BIN_EXE_aiclipx"));
            tool.args(command.split(' '));
            tool
        }
    };
    let help = help.arg("--help").output().unwrap();
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    if !help.status.success() {
        return Err(format!("aiclipx has no `{command}`"));
    }
    let missing = options.iter().find(|option| !text.contains(*option));
    missing.map_or(Ok(()), |option| Err(format!("aiclipx {command} has no {option}")))
}

#[test]
fn every_command_that_a_document_a_panel_or_a_message_names_can_be_typed() {
    let recipes = recipes();
    let mut findings = Vec::new();
    let mut named = [0, 0];
    let of_text = |file: &PathBuf| {
        file.extension().is_some_and(|kind| ["md", "rs", "json", "example"].iter().any(|one| kind == *one))
    };
    let folders = ["monitoring", "src", "crates", "scripts", "nix", "evidence"].into_iter().flat_map(files);
    let here = ["README.md", "SECURITY.md", ".env.example"].map(PathBuf::from);
    // A bundle is as it was sealed.
    let all = folders.chain(here).filter(|file| of_text(file) && !file.starts_with("evidence/sample"));
    for file in all {
        for (line, command) in typed(&read(&file)) {
            let words: Vec<&str> = command.split_whitespace().skip(1).collect();
            let is_verb =
                |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
            let options: Vec<&str> = words
                .iter()
                .filter(|word| word.starts_with("--"))
                .map(|word| word.split('=').next().unwrap())
                .collect();
            let Some(first) = words.first().filter(is_verb) else { continue };
            let understood = if command.starts_with("just ") {
                named[0] += 1;
                match recipes.get(*first) {
                    None => Err(format!("there is no recipe {first}")),
                    Some((false, _)) if words.len() > 1 => Err(format!("the recipe {first} takes nothing")),
                    Some((_, Some(handed))) => is_understood(handed, &options),
                    Some(_) => Ok(()),
                }
            } else {
                named[1] += 1;
                let depth = if *first == "traffic" { 2 } else { 1 };
                let verbs: Vec<&str> = words.iter().take(depth).copied().collect();
                match words.get(1).filter(is_verb).filter(|_| *first == "evidence") {
                    // The tool still takes them, for bundles that say so; nothing of now may.
                    Some(second) => Err(format!("`evidence {second}` is a verb of before")),
                    None => is_understood(&verbs.join(" "), &options),
                }
            };
            if let Err(why) = understood {
                findings.push(format!("{}:{line}: `{command}`: {why}", file.display()));
            }
        }
    }
    assert!(named[0] > 100 && named[1] > 10, "only {named:?} commands are named");
    no_findings(&findings);
}

#[test]
fn the_tool_itself_can_be_typed_wherever_a_recipe_can() {
    // crates/tool/tests/scripts.rs has ./dev; this is the other way in.
    assert!(read("nix/shell.nix").contains("scripts/bin"), "nix/shell.nix puts no scripts/bin on PATH");
}

// --- what must not be in a file -------------------------------------------------------------------------------------------

#[test]
fn no_file_holds_a_path_of_somebodys_machine() {
    // A clone at /app is somebody's too, but what names it can't be told from a path that means something else.
    let own = root().to_str().filter(|path| path.matches('/').count() > 2);
    let homes = [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
    let mut findings = Vec::new();
    for file in files("") {
        // Pictures and PDFs are no text.
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for (at, line) in text.lines().enumerate() {
            let path = homes.iter().find(|home| {
                line.match_indices(**home).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || "._-/}$".contains(c))
                        && line[at + home.len()..].starts_with(|c: char| c.is_alphanumeric())
                })
            });
            if path.is_some() || own.is_some_and(|own| line.contains(own)) {
                findings.push(format!("{}:{}: {}", file.display(), at + 1, line.trim()));
            }
        }
    }
    no_findings(&findings);
}

// --- what the README says of the service ---------------------------------------------------------------------------------

/// The cells of the README's tables, row by row.
fn readme_rows() -> Vec<Vec<String>> {
    let row = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    read("README.md").lines().filter(|line| line.starts_with('|')).map(row).collect()
}

#[test]
fn the_readme_has_every_setting_with_its_default_and_no_other() {
    let listed: BTreeMap<String, String> = readme_rows()
        .into_iter()
        .filter(|row| row[0].starts_with("`APP_") || row[0] == "`PORT`")
        .map(|row| (row[0].replace('`', ""), row[1].replace('`', "")))
        .collect();
    let told = |default: &'static str| if default.is_empty() { "not set" } else { default };
    let there: BTreeMap<String, String> = aiclipx_app::config::SETTINGS
        .iter()
        .map(|setting| (setting.name.to_owned(), told(setting.default).to_owned()))
        .collect();
    let told = |all: BTreeMap<String, String>| -> BTreeSet<String> {
        all.into_iter().map(|(name, default)| format!("{name}, by default {default}")).collect()
    };
    let table = "the table of settings in README.md, The service";
    no_findings(&apart(&told(there), "src/config.rs", &told(listed), table));
}

#[test]
fn the_readme_has_every_metric_with_its_labels_and_every_route() {
    let rows = readme_rows();
    let metrics: BTreeSet<String> = rows
        .iter()
        .filter(|row| row[0].starts_with("`app_"))
        .flat_map(|row| {
            row[0].split('`').filter(|part| part.starts_with("app_")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let meter = aiclipx_app::metrics::Metrics::new("0", "0").unwrap();
    let shape = |family: &prometheus::proto::MetricFamily| {
        let labels: Vec<&str> =
            family.get_metric()[0].get_label().iter().map(prometheus::proto::LabelPair::name).collect();
        let in_order = [
            "method",
            "endpoint",
            "http_status",
            "outcome",
            "listener",
            "version",
            "revision",
            "state",
            "statement",
            "kind",
        ];
        let labels = in_order.into_iter().filter(|name| labels.contains(name)).collect::<Vec<_>>().join(",");
        if labels.is_empty() { family.name().to_owned() } else { format!("{}{{{labels}}}", family.name()) }
    };
    let there: BTreeSet<String> =
        meter.gather().iter().filter(|family| family.name().starts_with("app_")).map(shape).collect();
    let table = "the table of metrics in README.md, The service";
    no_findings(&apart(&there, "src/metrics.rs", &metrics, table));

    for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| *endpoint != Endpoint::Unmatched) {
        let named = |row: &Vec<String>| {
            let words = row[0].replace('`', "");
            words.split([' ', ',', '?']).any(|word| word == endpoint.label())
        };
        assert!(rows.iter().any(named), "README.md has no row for {}", endpoint.label());
    }
}

/// What of the demo's time no machine makes shorter.
#[test]
fn the_readme_says_how_long_the_scenarios_of_the_demo_take() {
    let speed: Speed = "30".parse().unwrap();
    let scenarios = scenario::all(&root().join("scripts/traffic")).unwrap();
    // Which sends nothing, and which `just traffic` leaves out.
    // Its stack has one replica of the service.
    let scenarios: Vec<_> = scenarios.iter().filter(|scenario| scenario.replicas.is_none()).collect();
    let run: Vec<_> = scenarios.iter().filter(|scenario| scenario.id() != "00-quiet").collect();
    assert!(run.len() > 1 && run.len() + 1 == scenarios.len(), "{} of {}", run.len(), scenarios.len());
    let phases = run.iter().flat_map(|scenario| &scenario.phases);
    let took: Duration = phases.map(|phase| speed.real(phase.duration).unwrap()).sum();
    let told = format!("The scenarios of the demo alone take {}", duration::print(duration::whole_seconds(took)));
    assert!(read("README.md").contains(&told), "README.md, \"Two commands\", must say: {told}");
}

// --- what the README of scripts/ says of scenarios --------------------------------------------------------------------------

#[test]
fn the_table_of_scenarios_has_each_with_what_must_fire_and_no_other() {
    let text = read("scripts/README.md");
    let (from, to) = (text.find("| scenario |").unwrap(), text.find("A scenario is named by number").unwrap());
    let rows = text[from..to].lines().skip(2).filter(|line| line.starts_with('|'));
    let rows: Vec<Vec<&str>> = rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
    let scenarios = scenario::all(&root().join("scripts/traffic")).unwrap_or_else(|failure| panic!("{failure}"));
    let listed = rows.iter().map(|row| row[0].to_owned()).collect();
    let there = scenarios.iter().map(scenario::Scenario::id).collect();
    let mut findings = apart(&there, "scripts/traffic/", &listed, "the table of scripts/README.md");
    let alerts = aiclipx_model::monitoring::Monitoring::read(&root().join("monitoring")).unwrap();
    for scenario in &scenarios {
        let Some(row) = rows.iter().find(|row| row[0] == scenario.id()) else { continue };
        let words: BTreeSet<&str> = row[2].split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let told = alerts.alerts().iter().map(|alert| alert.name.clone()).filter(|name| words.contains(name.as_str()));
        let expected = scenario.expect.fires.iter().chain(&scenario.expect.inhibits).cloned().collect();
        let (file, row_of) =
            (format!("scripts/traffic/{}.toml", scenario.id()), format!("its row of scripts/README.md ({})", row[0]));
        findings.extend(apart(&expected, &file, &told.collect(), &row_of));
        if expected.is_empty() && row[2] != "nothing" {
            findings.push(format!("{file} expects nothing to fire, and {row_of} says {}", row[2]));
        }
    }
    no_findings(&findings);
}

// --- the table of tools ---------------------------------------------------------------------------------------------------

#[test]
fn every_command_of_the_justfile_is_on_the_table_of_tools() {
    let tools = tools();
    let known: BTreeSet<&str> = tools.iter().flat_map(|tool| tool.cells["command"].split('|')).collect();
    let mut findings = Vec::new();
    let mut commands = 0;
    for (at, line) in read("justfile").lines().enumerate() {
        let Some(body) = line.strip_prefix("    ").filter(|body| !body.trim_start().starts_with('#')) else { continue };
        let body = body.trim_start_matches(['@', '-']).replace("&&", ";").replace("||", ";").replace('|', ";");
        for part in body.split(';') {
            let command = part.split_whitespace().next().unwrap_or_default();
            if command.is_empty()
                || ["{{ tool }}", "{{ mutants }}", "{{ foreign }}"]
                    .iter()
                    .any(|ours| part.trim_start().starts_with(ours))
                || EVERYWHERE.contains(&command)
            {
                continue;
            }
            commands += 1;
            if let Some(script) = command.strip_prefix("scripts/") {
                if !root().join("scripts").join(script).is_file() {
                    findings.push(format!("justfile:{}: there is no {command}", at + 1));
                }
            } else if !known.contains(command) {
                findings.push(format!("justfile:{}: {command} is not in scripts/tools.tsv", at + 1));
            }
        }
    }
    assert!(commands > 5, "saw only {commands} commands: is the justfile written differently?");
    no_findings(&findings);
}

#[test]
fn the_table_of_tools_says_of_each_how_to_know_and_how_to_get_it() {
    let mut findings = Vec::new();
    for tool in tools() {
        let named = &tool.cells["command"];
        let brought = ["debian", "registry", "nix"].iter().any(|way| tool.cells[*way] != "-");
        let needs = ["demo", "test", "long"].map(|column| tool.cells[column].as_str());
        if !brought || tool.cells["marker"] == "-" {
            findings.push(format!("scripts/tools.tsv:{}: {named}: nothing brings it, or nothing marks it", tool.line));
        }
        // A later column holds all of an earlier one: CI shows the demo, too.
        let in_step = [
            ["needed"; 3],
            ["wanted", "needed", "needed"],
            ["-", "needed", "needed"],
            ["-", "-", "needed"],
            ["optional"; 3],
        ];
        if !in_step.contains(&needs) {
            let may_be: Vec<String> = in_step.map(|three| three.join(", ")).to_vec();
            let (line, is) = (tool.line, needs.join(", "));
            let what = format!("{named}: demo, test and long are {is}; they may be {}", may_be.join(" · "));
            findings.push(format!("scripts/tools.tsv:{line}: {what}"));
        }
    }
    no_findings(&findings);
}

#[test]
fn the_table_of_tools_asks_for_the_rust_that_the_manifest_asks_for() {
    let manifest = manifest();
    let wanted = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    for tool in tools().iter().filter(|tool| ["cargo", "rustc"].contains(&tool.cells["command"].as_str())) {
        assert_eq!(tool.cells["least"], wanted, "scripts/tools.tsv:{}", tool.line);
    }
}
