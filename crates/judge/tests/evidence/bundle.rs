//! Sealing and verifying: what is sealed verifies, here and by `sha256sum -c`; every tampering is found, and named.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use aiclipx_base::duration::Speed;
use aiclipx_judge::bundle::{Bundle, Draft, SUMS};
use aiclipx_judge::files::{json_text, write, write_json};
use aiclipx_judge::judge::Judgement;
use aiclipx_judge::outcome::Outcome;
use aiclipx_judge::provenance::{self, BrokenOff, End, Mode, Provenance, bundle_id};
use aiclipx_judge::run::{OLDEST, SCHEMA};
use aiclipx_judge::tree::copy_folder;
use aiclipx_model::failure::{Failure, Kind};
use aiclipx_model::revision::label;
use aiclipx_model::sum;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::artifacts::Files;
use crate::fixture::Fixture;
use crate::world::{self, SEED, SPEED};

/// Experiments on their way into a bundle.
pub(crate) struct Archive {
    place: TempDir,
    draft: Draft,
    provenance: Provenance,
}

const NAME: &str = "20261118T110640Z-0123456-s42";

impl Archive {
    pub(crate) fn new() -> Archive {
        let place = tempfile::Builder::new().prefix("a place ").tempdir().unwrap();
        let draft = Draft::begin(&place.path().join("runs"), NAME).unwrap().unwrap();
        world::tree().copy_to(&draft.folder().join("tree")).unwrap();
        let provenance = Provenance {
            schema: SCHEMA,
            id: NAME.to_owned(),
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            program: provenance::program(),
            revision: Some(world::REVISION.to_owned()),
            dirty: None,
            flake_lock_sha256: None,
            mode: Mode::Private,
            seeds: vec![SEED],
            speed: Speed::new(SPEED).unwrap(),
            began_ms: world::QUIET,
            ended_ms: world::QUIET + 90_000,
            versions: [("prometheus", "2.42.0"), ("alertmanager", "0.25.0")]
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .into(),
            image: None,
            machine: "linux x86_64, 2 processors".to_owned(),
            superseded: Vec::new(),
            unfinished: std::collections::BTreeMap::new(),
            broken_off: Vec::new(),
            absent: Vec::new(),
        };
        Archive { place, draft, provenance }
    }

    /// Both sound experiments.
    pub(crate) fn sound() -> Archive {
        Archive::new().with("error-rate", &Fixture::with_errors()).with("quiet", &Fixture::silent())
    }

    pub(crate) fn with(self, name: &str, fixture: &Fixture) -> Archive {
        copy_folder(&fixture.folder, &self.draft.experiment(name)).unwrap();
        self
    }

    /// With a file of its own beside `run.json`.
    pub(crate) fn file(self, name: &str, text: &str) -> Archive {
        fs::write(self.draft.folder().join(name), text).unwrap();
        self
    }

    pub(crate) fn superseded(mut self, names: &[&str]) -> Archive {
        self.provenance.superseded = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Everything that follows from it, unsealed.
    pub(crate) fn derived(&self) -> Outcome {
        write_json(&self.draft.folder().join("run.json"), &self.provenance).unwrap();
        Outcome::derive(self.draft.folder()).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// With its long artifacts packed, as a bundle that is published has them.
    pub(crate) fn packed(self) -> Archive {
        for name in ["error-rate", "quiet"] {
            aiclipx_judge::files::pack(&self.draft.experiment(name)).unwrap();
        }
        self
    }

    /// Made from a commit, with or without uncommitted changes.
    pub(crate) fn of_revision(mut self, commit: &str, dirty: Option<&str>) -> Archive {
        self.provenance.revision = Some(commit.to_owned());
        self.provenance.dirty = dirty.map(str::to_owned);
        self.provenance.id = bundle_id(world::QUIET, Some(commit), &[SEED]).unwrap();
        for experiment in fs::read_dir(self.draft.folder().join("experiments")).unwrap() {
            let file = experiment.unwrap().path().join("exposition/after-0.prom");
            let text = fs::read_to_string(&file).unwrap();
            fs::write(file, text.replace(world::REVISION, &label(Some(commit), dirty))).unwrap();
        }
        self
    }

    pub(crate) fn made(mut self, mode: Mode) -> Archive {
        self.provenance.mode = mode;
        self
    }

    pub(crate) fn seal(self, secrets: &[&str]) -> (TempDir, Result<(Bundle, Outcome), Failure>) {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        let sealed = self.draft.report(&self.provenance).and_then(|outcome| Ok((self.draft.seal(&secrets)?, outcome)));
        (self.place, sealed)
    }

    pub(crate) fn sealed(self) -> Sealed {
        let (place, sealed) = self.seal(&[]);
        let (bundle, _) = sealed.unwrap_or_else(|failure| panic!("{failure}"));
        Sealed { folder: bundle.folder().to_owned(), _place: place }
    }
}

/// A bundle that somebody else has in hand.
pub(crate) struct Sealed {
    _place: TempDir,
    pub(crate) folder: PathBuf,
}

/// The files of the sound bundle: to seal one flushes each to disk, and most tests only want to change one that is sealed.
static SOUND_FILES: LazyLock<Files> = LazyLock::new(|| {
    let sealed = Archive::sound().sealed();
    let names = Bundle::open(&sealed.folder).unwrap().files().unwrap();
    let names = names.into_iter().chain([SUMS.to_owned()]);
    names.map(|name| (name.clone(), fs::read(sealed.path(&name)).unwrap())).collect()
});

impl Sealed {
    /// Both sound experiments, sealed before, in a place of their own.
    pub(crate) fn sound() -> Sealed {
        let place = tempfile::Builder::new().prefix("a place ").tempdir().unwrap();
        let folder = place.path().join("runs").join(NAME);
        let sealed = Sealed { folder, _place: place };
        sealed.restore();
        sealed
    }

    /// Makes it the sound bundle again, whatever was done to it. What is as it was stays: to make some hundred files anew, and
    /// delete them, is dear on a file system that waits before it gives away the place of one that was deleted.
    fn restore(&self) {
        fn remove_others(root: &Path, folder: &Path) {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_str().map(str::to_owned);
                let is = path.symlink_metadata().unwrap();
                let as_it_was = || SOUND_FILES.get(&name?).map(|bytes| fs::read(&path).unwrap() == *bytes);
                if is.is_dir() {
                    remove_others(root, &path);
                    // One that is not empty stays.
                    let _ = fs::remove_dir(&path);
                } else if !is.is_file() || as_it_was() != Some(true) {
                    fs::remove_file(&path).unwrap();
                }
            }
        }
        remove_others(&self.folder, &self.folder);
        for (file, bytes) in SOUND_FILES.iter().filter(|(file, _)| !self.path(file).exists()) {
            write(&self.path(file), bytes).unwrap();
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn text(&self, file: &str, edit: impl FnOnce(&str) -> String) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        let edited = edit(&text);
        assert_ne!(edited, text, "the edit of {file} changes nothing");
        fs::write(self.path(file), edited).unwrap();
    }

    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) {
        self.text(file, |text| text.replacen(from, to, 1));
    }

    fn verdicts(&self, edit: impl FnOnce(&mut Vec<Value>)) {
        self.text("verdicts.json", |text| {
            let mut verdicts: Vec<Value> = serde_json::from_str(text).unwrap();
            edit(&mut verdicts);
            serde_json::to_string_pretty(&verdicts).unwrap()
        });
    }

    /// Writes the sums anew over what is there now, as a careful forger would.
    pub(crate) fn resum(&self) {
        fn walk(root: &Path, folder: &Path, lines: &mut Vec<(String, String)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, lines);
                } else if !path.ends_with("SHA256SUMS") {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    lines.push((name, sum::of_file(&path).unwrap()));
                }
            }
        }
        let mut lines = Vec::new();
        walk(&self.folder, &self.folder, &mut lines);
        lines.sort();
        let text: String = lines.into_iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
        fs::write(self.path("SHA256SUMS"), text).unwrap();
    }

    pub(crate) fn verify(&self) -> Result<Outcome, Failure> {
        Bundle::open(&self.folder)?.verify()
    }
}

/// What was done to a bundle, and what the failure must name.
type Tampering = (&'static str, fn(&Sealed), &'static [&'static str]);

fn are_found(tamperings: &[Tampering]) {
    let sealed = Sealed::sound();
    for (what, tamper, named) in tamperings {
        tamper(&sealed);
        let Err(failure) = sealed.verify() else { panic!("{what}: not found") };
        assert_eq!(failure.kind(), Kind::InvalidBundle, "{what}: {failure}");
        for named in *named {
            assert!(failure.to_string().contains(named), "{what}: `{named}` is not in: {failure}");
        }
        sealed.restore();
    }
    sealed.verify().unwrap_or_else(|failure| panic!("it is not as it was: {failure}"));
}

#[test]
fn what_was_sealed_verifies_from_anywhere() {
    let sealed = Archive::sound().sealed();
    let outcome = sealed.verify().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(outcome.exit_code(&[]), 0, "{}", outcome.headline());
    let elsewhere = tempfile::tempdir().unwrap();
    copy_folder(&sealed.folder, &elsewhere.path().join("another name")).unwrap();
    let bundle = Bundle::open(&elsewhere.path().join("another name")).unwrap();
    bundle.verify().unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_bundle_in_which_a_claim_fails_can_be_trusted_all_the_same() {
    let fixture = Fixture::with_errors().stored("errors", &[], 1.0);
    let outcome = Archive::new().with("error-rate", &fixture).sealed().verify().unwrap();
    assert_eq!(outcome.exit_code(&[]), 1);
}

/// What is told of an artifact that can't be read must not be told otherwise where the bundle lies elsewhere.
#[test]
fn a_bundle_with_an_unreadable_artifact_can_be_trusted_all_the_same() {
    let unreadable = Fixture::with_errors().text("exposition/before-0.prom", |text| format!("{text}junk\n"));
    let outcome = Archive::new().with("error-rate", &unreadable).sealed().verify();
    assert_eq!(outcome.unwrap_or_else(|failure| panic!("{failure}")).exit_code(&[]), 1);
    let scrapes = Fixture::with_errors().text("samples/up.json", |text| text[..text.len() / 2].to_owned());
    let outcome = Archive::new().with("error-rate", &scrapes).sealed().verify();
    assert_eq!(outcome.unwrap_or_else(|failure| panic!("{failure}")).exit_code(&[]), 3);
}

#[test]
fn coreutils_accept_the_sums() {
    let sealed = Archive::sound().sealed();
    let check = || {
        let mut sha256sum = Command::new("sha256sum");
        let output = sha256sum.args(["-c", "--strict", "SHA256SUMS"]).current_dir(&sealed.folder).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (accepted, told) = check();
    assert!(accepted, "{told}");
    assert!(told.lines().any(|line| line == "experiments/error-rate/ledger.jsonl: OK"), "{told}");
    sealed.replace("experiments/error-rate/run.json", "error", "terror");
    assert!(!check().0, "they must notice a change too");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn sealing_leaves_the_bundle_and_nothing_beside_it() {
    let sealed = Archive::sound().sealed();
    assert_eq!(names(sealed.folder.parent().unwrap()), [NAME]);
    let parts = ["SHA256SUMS", "experiments", "report.html", "report.md", "run.json", "tree", "verdicts.json"];
    assert_eq!(names(&sealed.folder), parts);
}

#[test]
fn a_file_changed_after_the_sealing_is_found_and_named() {
    are_found(&[
        (
            "a ledger edited",
            |sealed| sealed.replace("experiments/error-rate/ledger.jsonl", "\"status\":500", "\"status\":200"),
            &["L0", "experiments/error-rate/ledger.jsonl has changed"],
        ),
        (
            "a file cut short",
            |sealed| {
                let file = sealed.path("experiments/quiet/samples/up.json");
                let bytes = fs::read(&file).unwrap();
                fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
            },
            &["L0", "experiments/quiet/samples/up.json has changed"],
        ),
        (
            "a file more",
            |sealed| fs::write(sealed.path("experiments/quiet/note.txt"), "trust me").unwrap(),
            &["L0", "experiments/quiet/note.txt is in the bundle but not in SHA256SUMS"],
        ),
        (
            "a hidden file more",
            |sealed| fs::write(sealed.path("tree/.note"), "trust me").unwrap(),
            &["L0", "tree/.note is in the bundle but not in SHA256SUMS"],
        ),
        (
            "a file less",
            |sealed| fs::remove_file(sealed.path("experiments/quiet/notifications.jsonl")).unwrap(),
            &["L0", "experiments/quiet/notifications.jsonl is missing"],
        ),
        (
            "a link in a file's place, to the same bytes",
            |sealed| {
                let (file, aside) = (sealed.path("report.md"), sealed.folder.with_extension("md"));
                fs::rename(&file, &aside).unwrap();
                std::os::unix::fs::symlink(aside, file).unwrap();
            },
            &["L0", "report.md is not a regular file"],
        ),
        (
            "a link in a folder's place",
            |sealed| {
                let (folder, aside) = (sealed.path("tree"), sealed.folder.with_extension("tree"));
                fs::rename(&folder, &aside).unwrap();
                std::os::unix::fs::symlink(aside, folder).unwrap();
            },
            &["L0", "tree is not a regular file"],
        ),
        (
            "a link in the place of the sums",
            |sealed| {
                let (file, aside) = (sealed.path("SHA256SUMS"), sealed.folder.with_extension("sums"));
                fs::rename(&file, &aside).unwrap();
                std::os::unix::fs::symlink(aside, file).unwrap();
            },
            &["L0", "SHA256SUMS is not a regular file"],
        ),
    ]);
}

#[test]
fn sums_that_are_no_sums_are_found() {
    fn line(sealed: &Sealed, name: &str) {
        let sum = "0".repeat(64);
        sealed.text("SHA256SUMS", |text| format!("{text}{sum}  {name}\n"));
    }
    are_found(&[
        ("a path upwards", |sealed| line(sealed, "../outside"), &["L0", "../outside is not a plain path"]),
        ("a path upwards in the middle", |sealed| line(sealed, "tree/../../outside"), &["L0", "is not a plain path"]),
        ("an absolute path", |sealed| line(sealed, "/etc/hostname"), &["L0", "/etc/hostname is not a plain path"]),
        ("a file that never was", |sealed| line(sealed, "report.pdf"), &["L0", "report.pdf is missing"]),
        (
            "a line twice",
            |sealed| {
                sealed.text("SHA256SUMS", |text| {
                    let first = text.lines().next().unwrap();
                    format!("{text}{first}\n")
                });
            },
            &["L0", "twice"],
        ),
        ("no sum in a line", |sealed| sealed.text("SHA256SUMS", |text| format!("{text}hello\n")), &["L0", "not `sum"]),
        ("nothing", |sealed| fs::write(sealed.path("SHA256SUMS"), "").unwrap(), &["L0", "not in SHA256SUMS"]),
    ]);
}

#[test]
fn a_forgery_with_its_sums_written_anew_is_found_by_deriving_again() {
    are_found(&[
        (
            "a ledger edited",
            |sealed| {
                sealed.replace("experiments/error-rate/ledger.jsonl", "\"status\":500", "\"status\":200");
                sealed.resum();
            },
            &["L1", "error-rate/counters/requests", "verdicts.json says holds", "the artifacts say fails"],
        ),
        (
            "a word more in a ledger",
            |sealed| {
                sealed.replace(
                    "experiments/error-rate/ledger.jsonl",
                    "{\"seq\":0,",
                    "{\"note\":\"trust me\",\"seq\":0,",
                );
                sealed.resum();
            },
            &["L1", "request 0 says `note`"],
        ),
        (
            "a verdict edited",
            |sealed| {
                sealed.verdicts(|verdicts| {
                    let told = verdicts.iter_mut().find(|told| told["id"] == "error-rate/log").unwrap();
                    told["verdict"] = json!("fails");
                    told["why"] = json!("because I say so");
                });
                sealed.resum();
            },
            &["L1", "error-rate/log", "verdicts.json says fails", "the artifacts say holds"],
        ),
        (
            "a number in a judgement edited",
            |sealed| {
                sealed.verdicts(|verdicts| {
                    let edited = verdicts.iter_mut().find(|told| told["id"] == "error-rate/counters/latency-count");
                    edited.expect("it was judged")["population"] = json!(1_000_000);
                });
                sealed.resum();
            },
            &["L1", "error-rate/counters/latency-count"],
        ),
        (
            "a claim's words edited",
            |sealed| {
                sealed.verdicts(|verdicts| verdicts[0]["says"] = json!("all is well"));
                sealed.resum();
            },
            &["L1", "/scenario"],
        ),
        (
            "a claim removed",
            |sealed| {
                sealed.verdicts(|verdicts| verdicts.retain(|told| told["id"] != "error-rate/log"));
                sealed.resum();
            },
            &["L1", "the claim error-rate/log was removed"],
        ),
        (
            "a claim added",
            |sealed| {
                sealed.verdicts(|verdicts| {
                    let mut added = verdicts[0].clone();
                    added["id"] = json!("error-rate/world-peace");
                    verdicts.push(added);
                });
                sealed.resum();
            },
            &["L1", "claims that nothing gives rise to"],
        ),
        (
            "a number in the report edited",
            |sealed| {
                sealed.replace("report.html", "Prometheus</th>", "Prometheus, certified</th>");
                sealed.resum();
            },
            &["L1", "report.html does not say what the artifacts say"],
        ),
        (
            "a number in the report for pull requests edited",
            |sealed| {
                sealed.replace("report.md", " of ", " out of ");
                sealed.resum();
            },
            &["L1", "report.md does not say what the artifacts say"],
        ),
        (
            "a drawing edited",
            |sealed| {
                sealed.replace("experiments/error-rate/panels/app-overview-3.svg", "<svg", "<svg id=\"x\"");
                sealed.resum();
            },
            &["L1", "app-overview-3.svg does not say what the artifacts say"],
        ),
        (
            "a threshold of the tree edited",
            |sealed| {
                sealed.replace("tree/monitoring/prometheus/rules/app.yml", "> 0.05", "> 0.06");
                sealed.resum();
            },
            &["L1", "error-rate/loaded"],
        ),
        (
            "an alert taken out of what is expected",
            |sealed| {
                let scenario = "experiments/error-rate/scenario.toml";
                sealed.replace(scenario, "fires = [\"AppHigh5xxErrorRate\"]", "fires = []");
                sealed.replace(scenario, "within = \"8m\"\n", "");
                sealed.resum();
            },
            &["L1"],
        ),
        (
            "another revision",
            |sealed| {
                sealed.replace("run.json", "0123456789abcdef", "fedcba9876543210");
                sealed.resum();
            },
            &["L1", "the service says 0123456789abcdef"],
        ),
        (
            "another revision, on a stack that is said to have been up before",
            |sealed| {
                sealed.replace("run.json", "0123456789abcdef", "fedcba9876543210");
                sealed.replace("run.json", "\"private\"", "\"attached\"");
                sealed.resum();
            },
            &["L1", "the service says 0123456789abcdef"],
        ),
        (
            "a sound try put aside",
            |sealed| {
                sealed.replace("run.json", "\"superseded\": []", "\"superseded\": [\"error-rate\"]");
                sealed.resum();
            },
            &["L1", "error-rate was put aside though it was not invalid"],
        ),
    ]);
}

#[test]
fn a_byte_of_a_packed_file_is_told_as_a_change_and_not_as_a_size() {
    let sealed = Archive::sound().packed().sealed();
    let file = sealed.path("experiments/error-rate/samples/requests.json.gz");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
    let said = sealed.verify().unwrap_err().to_string();
    assert!(said.contains("L0") && said.contains("samples/requests.json.gz has changed"), "{said}");
    // With its sum written anew it is what can't be unpacked, and of no size.
    sealed.resum();
    let said = sealed.verify().unwrap_err().to_string();
    assert!(said.contains("samples/requests.json.gz") && !said.contains("at most"), "{said}");
}

#[test]
fn packed_artifacts_say_what_they_said_before_and_no_file_hides_behind_one() {
    let plain = Sealed::sound();
    let judged = Bundle::open(&plain.folder).unwrap().verify().unwrap().judgements;
    let with_a_snapshot = Archive::sound();
    fs::write(with_a_snapshot.draft.experiment("quiet").join("tsdb.tar"), [0; 1024]).unwrap();
    let sealed = with_a_snapshot.packed().sealed();
    assert!(sealed.path("experiments/quiet/tsdb.tar.gz").is_file());
    let requests = sealed.path("experiments/error-rate/samples/requests.json.gz");
    assert!(requests.is_file() && !requests.with_extension("").exists());
    assert_eq!(sealed.verify().unwrap_or_else(|failure| panic!("{failure}")).judgements, judged);

    fs::copy(plain.folder.join("experiments/error-rate/samples/requests.json"), requests.with_extension("")).unwrap();
    sealed.resum();
    let failure = sealed.verify().unwrap_err();
    assert!(failure.to_string().contains("is there unpacked as well"), "{failure}");

    let sealed = Archive::sound().packed().sealed();
    fs::write(sealed.path("experiments/error-rate/scenario.toml.gz"), "").unwrap();
    sealed.resum();
    let failure = sealed.verify().unwrap_err();
    assert!(failure.to_string().contains("is no file of a bundle"), "{failure}");
}

/// Packed, a gigabyte of nothing is a file of a megabyte: what it would take to read it is refused unread.
#[test]
fn a_bundle_that_unpacks_to_more_than_any_of_ours_is_refused() {
    const MIB: u64 = 1 << 20;
    fn packed(unpacked: u64) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::copy(&mut std::io::repeat(b' ').take(unpacked), &mut gzip).unwrap();
        gzip.finish().unwrap()
    }
    let refused = |files: &[(&str, u64)], expected: &str| {
        let sealed = Archive::sound().packed().sealed();
        for (file, unpacked) in files {
            fs::write(sealed.path(&format!("experiments/error-rate/{file}")), packed(*unpacked)).unwrap();
        }
        sealed.resum();
        let failure = sealed.verify().unwrap_err();
        assert_eq!(failure.kind(), Kind::InvalidBundle, "{failure}");
        assert!(failure.to_string().contains(expected), "{failure}");
    };
    refused(&[("logs/app.log.gz", 65 * MIB)], "app.log has more than 67108864 bytes");
    let four = ["logs/a.log.gz", "logs/b.log.gz", "logs/c.log.gz", "logs/d.log.gz"].map(|file| (file, 64 * MIB));
    refused(&four, "268435456 bytes together at most");
    // What is read as JSON takes more memory than that, so less of it is read.
    refused(&[("samples/requests.json.gz", 9 * MIB)], "requests.json has more than 8388608 bytes");
    refused(&[("loaded/rules.json.gz", 3 * MIB)], "rules.json has more than 2097152 bytes");
}

/// What is read first is held against what was recorded, and nothing lies in a bundle that nobody asked for.
#[test]
fn what_a_bundle_says_of_itself_is_what_its_artifacts_say() {
    fn told(sealed: &Sealed, from: &str, to: &str) {
        for file in ["run.json", "report.html", "report.md"] {
            let text = fs::read_to_string(sealed.path(file)).unwrap();
            fs::write(sealed.path(file), text.replace(from, to)).unwrap();
        }
        sealed.resum();
    }
    fn in_run(sealed: &Sealed, file: &str, edit: impl FnOnce(&mut Value)) {
        sealed.text(file, |text| {
            let mut value: Value = serde_json::from_str(text).unwrap();
            edit(&mut value);
            json_text(&value).unwrap()
        });
        sealed.resum();
    }
    fn more(sealed: &Sealed, file: &str) {
        fs::write(sealed.path(&format!("experiments/error-rate/{file}")), "{}").unwrap();
        sealed.resum();
    }
    are_found(&[
        ("another version", |sealed| told(sealed, "2.42.0", "9.9.9"), &["L1", "prometheus is 9.9.9, and says 2.42.0"]),
        (
            "a step that would explain a death",
            |sealed| {
                in_run(sealed, "experiments/error-rate/run.json", |run| {
                    let at = run["phases"][1]["start_ms"].clone();
                    run["steps"] = json!([{ "action": "kill", "component": "app", "start_ms": at, "end_ms": at }]);
                });
            },
            &["L1", "it tells of a step, kill app, that the scenario does not take then"],
        ),
        (
            "on how many it was decided",
            |sealed| {
                sealed.verdicts(|verdicts| verdicts[0]["population"] = json!(4711));
                sealed.resum();
            },
            &["L1", "as `population` verdicts.json says 4711, and the artifacts say "],
        ),
        ("another seed", |sealed| in_run(sealed, "run.json", |run| run["seeds"] = json!([7])), &["L1", "seeds {7}"]),
        (
            "a clean tree that was not",
            |sealed| in_run(sealed, "run.json", |run| run["dirty"] = json!("0".repeat(64))),
            &["L1", "-dirty, and the service says"],
        ),
        ("another speed", |sealed| in_run(sealed, "run.json", |run| run["speed"] = json!(1)), &["L1", "the speed was"]),
        ("another name", |sealed| told(sealed, "-0123456-s42", "-0123457-s42"), &["L1", "other seeds"]),
        ("another day in its name", |sealed| told(sealed, "20261118T", "20261119T"), &["L1", "of another time"]),
        (
            "later",
            |sealed| in_run(sealed, "run.json", |run| run["began_ms"] = json!(world::QUIET + 1)),
            &["L1", "it lasted from"],
        ),
        (
            "times that overflow",
            |sealed| in_run(sealed, "experiments/quiet/run.json", |run| run["quiet_ms"] = json!(i64::MIN)),
            &["L1", "which is no time of a run"],
        ),
        (
            "put aside what is not there",
            |sealed| in_run(sealed, "run.json", |run| run["superseded"] = json!(["nope"])),
            &["L1", "nope was put aside, and is not there"],
        ),
        (
            "a picture from elsewhere",
            |sealed| {
                let outside = sealed.folder.with_extension("png");
                fs::write(&outside, b"\x89PNG\r\n\x1a\n").unwrap();
                let outside = outside.to_str().unwrap().to_owned();
                in_run(sealed, "experiments/error-rate/run.json", |run| run["pictures"][0]["file"] = json!(outside));
            },
            &["L1", "pictured"],
        ),
        ("a picture more", |sealed| more(sealed, "screens/evil.png"), &["L1", "is nothing that was asked for"]),
        ("a drawing more", |sealed| more(sealed, "panels/evil.svg"), &["L1", "is nothing that was asked for"]),
        ("a sample more", |sealed| more(sealed, "samples/evil.json"), &["L1", "is nothing that was asked for"]),
        ("a log more", |sealed| more(sealed, "logs/evil.log"), &["L1", "is nothing that was asked for"]),
        (
            "a word more in a verdict",
            |sealed| sealed.verdicts(|verdicts| verdicts[0]["note"] = json!("proved")),
            &["L0", "verdicts.json has changed"],
        ),
        (
            "a word more in a verdict, and its sum",
            |sealed| {
                sealed.verdicts(|verdicts| verdicts[0]["note"] = json!("proved"));
                sealed.resum();
            },
            &["L1", "verdicts.json says more"],
        ),
        (
            "no report",
            |sealed| {
                fs::remove_file(sealed.path("report.html")).unwrap();
                sealed.resum();
            },
            &["L1", "report.html"],
        ),
    ]);
}

#[test]
fn nothing_stands_behind_what_an_artifact_packs() {
    let sealed = Archive::sound().packed().sealed();
    let file = sealed.path("experiments/error-rate/ledger.jsonl.gz");
    let mut bytes = fs::read(&file).unwrap();
    bytes.extend(fs::read(sealed.path("experiments/quiet/ledger.jsonl.gz")).unwrap());
    fs::write(file, bytes).unwrap();
    sealed.resum();
    let failure = sealed.verify().unwrap_err();
    assert!(failure.to_string().contains("goes on behind what it packs"), "{failure}");
}

#[test]
fn what_must_be_proven_must_be_a_claim() {
    let outcome = Archive::sound().derived();
    let require = ["counters/requests", "nonsense"].map(str::to_owned);
    assert_eq!(outcome.unmatched(&require), ["nonsense"]);
}

#[test]
fn what_was_not_run_is_told_with_the_alerts_that_nobody_saw() {
    let outcome = Archive::new().with("quiet", &Fixture::silent()).derived();
    assert_eq!(outcome.not_run().len(), 11);
    assert!(outcome.not_provoked().contains(&"AppDown"));
    let sealed = Sealed::sound();
    let report = fs::read_to_string(sealed.path("report.md")).unwrap();
    assert!(report.contains("2 of 12 scenarios were run"), "{report}");
    assert!(
        report.contains("- not run: 01-request-rate, ") && report.contains("so nobody saw AppHighP95Latency, "),
        "{report}"
    );
    let page = fs::read_to_string(sealed.path("report.html")).unwrap();
    assert!(page.contains("--only 02-error-rate --only 00-quiet"), "how to run it again");
}

#[test]
fn what_verify_would_refuse_is_not_sealed() {
    let (place, sealed) = Archive::sound().file("notes.txt", "mine").seal(&[]);
    let failure = sealed.unwrap_err();
    assert!(failure.to_string().contains("notes.txt is no file of a bundle"), "{failure}");
    assert_eq!(names(&place.path().join("runs")), [format!("{NAME}.partial")]);
}

#[test]
fn a_secret_is_found_in_what_is_packed_too() {
    let (_place, sealed) = Archive::sound().packed().seal(&["Server is ready"]);
    let failure = sealed.unwrap_err();
    assert!(failure.to_string().contains("logs/prometheus.log"), "{failure}");
}

#[test]
fn an_experiment_taken_out_is_found() {
    fn without_it(sealed: &Sealed) {
        fs::remove_dir_all(sealed.path("experiments/error-rate")).unwrap();
    }
    are_found(&[
        (
            "its folder",
            |sealed| {
                without_it(sealed);
                sealed.resum();
            },
            &["L1", "claims that nothing gives rise to"],
        ),
        (
            "its folder and its verdicts",
            |sealed| {
                without_it(sealed);
                sealed.text("verdicts.json", |text| {
                    let mut verdicts: Vec<Judgement> = serde_json::from_str(text).unwrap();
                    verdicts.retain(|told| told.claim.experiment != "error-rate");
                    json_text(&verdicts).unwrap()
                });
                sealed.resum();
            },
            &["L1", "does not say what the artifacts say"],
        ),
        (
            "a file without which it is none",
            |sealed| {
                fs::remove_file(sealed.path("experiments/error-rate/run.json")).unwrap();
                sealed.resum();
            },
            &["L1", "experiments/error-rate"],
        ),
        (
            "all of them",
            |sealed| {
                fs::remove_dir_all(sealed.path("experiments")).unwrap();
                sealed.resum();
            },
            &["L1", "there is no experiment to judge"],
        ),
    ]);
}

#[test]
fn what_sealing_returns_says_the_same_as_verifying_even_of_a_try_put_aside() {
    let dead = Fixture::with_errors().run(|run| run.processes[0].at_end.pid = None);
    let archive =
        Archive::new().with("error-rate-try-1", &dead.run_before()).with("error-rate", &Fixture::with_errors());
    let (_place, sealed) = archive.superseded(&["error-rate-try-1"]).seal(&[]);
    let (bundle, outcome) = sealed.unwrap_or_else(|failure| panic!("{failure}"));
    let verified = bundle.verify().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((outcome.exit_code(&[]), verified.exit_code(&[])), (3, 3));
    assert_eq!(outcome.headline(), verified.headline());
}

#[test]
fn a_statement_of_a_version_that_nobody_here_knows_is_not_called_untrustworthy() {
    let sealed = Sealed::sound();
    sealed.replace("run.json", &format!("\"schema\": {SCHEMA}"), &format!("\"schema\": {}", SCHEMA + 1));
    sealed.resum();
    let failure = sealed.verify().unwrap_err();
    assert_eq!(failure.kind(), Kind::Usage);
    assert!(failure.to_string().contains(&format!("a statement of version {}", SCHEMA + 1)), "{failure}");
    // An older one of its own making is not what its experiments are.
    sealed.replace("run.json", &format!("\"schema\": {}", SCHEMA + 1), &format!("\"schema\": {OLDEST}"));
    sealed.resum();
    let failure = sealed.verify().unwrap_err();
    assert_eq!(failure.kind(), Kind::InvalidBundle);
    assert!(failure.to_string().contains(&format!("its statement is of version {SCHEMA}, not {OLDEST}")), "{failure}");
    // Nor is one passed off as older throughout, to be asked less: it holds what the older one did not know.
    for experiment in ["error-rate", "quiet"] {
        let file = format!("experiments/{experiment}/run.json");
        sealed.replace(&file, &format!("\"schema\": {SCHEMA}"), &format!("\"schema\": {OLDEST}"));
    }
    let outcome = Outcome::derive(&sealed.path("")).unwrap_or_else(|failure| panic!("{failure}"));
    fs::write(sealed.path("verdicts.json"), json_text(&outcome.judgements).unwrap()).unwrap();
    sealed.replace("run.json", &provenance::program().expect("this test is a program"), &"0".repeat(64));
    sealed.resum();
    let failure = sealed.verify().unwrap_err();
    assert_eq!(failure.kind(), Kind::InvalidBundle);
    assert!(failure.to_string().contains(&format!("of version {OLDEST}, which knew of no program")), "{failure}");
}

/// Whatever tells its version by name is taken away: what was recorded is at an address that the older one did not know.
#[test]
fn a_statement_passed_off_as_older_is_refused_by_what_was_recorded() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("sample");
    copy_folder(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("evidence/sample"), &folder).unwrap();
    let _ = fs::remove_file(folder.join("SHA256SUMS.sig"));
    let sealed = Sealed { _place: place, folder };
    let run = "experiments/request-rate/run.json";
    let edit = |file: &str, edit: &dyn Fn(&mut Value)| {
        sealed.text(file, |text| {
            let mut value: Value = serde_json::from_str(text).unwrap();
            edit(&mut value);
            json_text(&value).unwrap()
        });
    };
    for file in [run, "run.json"] {
        edit(file, &|value| value["schema"] = json!(OLDEST));
    }
    for name in ["names.json", "names.json.gz"] {
        let _ = fs::remove_file(sealed.path("experiments/request-rate/loaded").join(name));
    }
    let outcome = Outcome::derive(&sealed.path("")).unwrap_or_else(|failure| panic!("{failure}"));
    fs::write(sealed.path("verdicts.json"), json_text(&outcome.judgements).unwrap()).unwrap();
    let refused = |what: &str| {
        sealed.resum();
        let failure = sealed.verify().unwrap_err();
        assert_eq!(failure.kind(), Kind::InvalidBundle, "{failure}");
        assert!(failure.to_string().contains(&format!("of version {OLDEST}, which knew of no {what}")), "{failure}");
    };
    refused("program");
    edit("run.json", &|value| drop(value.as_object_mut().unwrap().remove("program")));
    refused("app_admin");
    edit(run, &|value| drop(value["addresses"].as_object_mut().unwrap().remove("app_admin")));
    refused("127.0.0.1:");
}

/// A later tool shows the same otherwise; what was claimed and judged is the same.
#[test]
fn what_another_program_wrote_is_bound_by_the_sums_and_told() {
    let sealed = Sealed::sound();
    let program = provenance::program().expect("this test is a program");
    sealed.replace("run.json", &program, &"0".repeat(64));
    sealed.resum();
    let outcome = sealed.verify().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(outcome.others, [""; 0], "it writes the same");
    let drawing = "experiments/error-rate/panels/app-overview-3.svg";
    sealed.replace("report.html", "<h1", "<h1 class=\"new\"");
    sealed.replace(drawing, "<svg", "<svg id=\"x\"");
    fs::copy(sealed.path(drawing), sealed.path("experiments/error-rate/panels/app-overview-99.svg")).unwrap();
    sealed.resum();
    let outcome = sealed.verify().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((outcome.others, outcome.lacking), (vec!["report.html".to_owned(), drawing.to_owned()], Vec::new()));
    // What was not made yet when the bundle was is not different: it is not there.
    fs::remove_file(sealed.path("report.md")).unwrap();
    sealed.resum();
    let outcome = sealed.verify().unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!((outcome.others.len(), outcome.lacking), (2, vec!["report.md".to_owned()]));
    // Its verdicts are held to the artifacts all the same.
    sealed.verdicts(|verdicts| verdicts[0]["observed"] = json!("all is well"));
    sealed.resum();
    assert_eq!(sealed.verify().unwrap_err().kind(), Kind::InvalidBundle);
}

/// The sample as it was under the versions before: what was sealed then is judged now.
#[test]
fn a_bundle_of_an_older_version_verifies() {
    for version in OLDEST..SCHEMA {
        let place = tempfile::tempdir().unwrap();
        let file = format!("crates/judge/tests/evidence/version-{version}.tar.gz");
        let packed = fs::File::open(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(file)).unwrap();
        tar::Archive::new(flate2::read::GzDecoder::new(packed)).unpack(place.path()).unwrap();
        let outcome = Bundle::open(&place.path().join("sample")).and_then(|bundle| bundle.verify());
        let outcome = outcome.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((outcome.provenance.schema, outcome.exit_code(&[])), (version, 0), "{}", outcome.headline());
    }
}

#[test]
fn a_folder_without_sums_is_no_bundle() {
    let place = tempfile::tempdir().unwrap();
    let failure = Bundle::open(place.path()).expect_err("it is empty");
    assert_eq!(failure.kind(), Kind::Usage);
    assert!(failure.to_string().contains("it has no SHA256SUMS"), "{failure}");
}

#[test]
fn a_packed_bundle_is_to_be_unpacked_first() {
    let place = tempfile::tempdir().unwrap();
    for (name, remedy) in [("run.tar.gz", "unpack it first"), ("notes.txt", "`just evidence` prints last")] {
        fs::write(place.path().join(name), "").unwrap();
        let failure = Bundle::open(&place.path().join(name)).expect_err("it is a file");
        let told = failure.to_string();
        assert!(told.contains("it is a file") && told.contains(remedy), "{told}");
    }
}

#[test]
fn what_was_recorded_outlives_a_draft_that_is_not_sealed() {
    let Archive { place, draft, .. } = Archive::sound();
    drop(draft);
    let left = place.path().join("runs").join(format!("{NAME}.partial"));
    assert!(left.join("experiments/error-rate/ledger.jsonl").is_file());
    let failure = Bundle::open(&left).expect_err("it is not sealed");
    assert!(failure.to_string().contains("it has no SHA256SUMS"), "{failure}");
    let Archive { place, draft, .. } = Archive::new();
    assert!(draft.folder().is_dir());
    drop(draft);
    assert_eq!(names(&place.path().join("runs")), [""; 0], "of nothing recorded nothing stays");
}

/// An editor's copy, a link, an empty folder: none of them is a reason to lose a run, and none gets into the bundle.
#[test]
fn what_nobody_asked_for_is_left_out_and_ends_nothing() {
    let archive = Archive::sound();
    let folder = archive.draft.experiment("quiet");
    fs::write(folder.join("scenario.toml~"), "").unwrap();
    fs::write(folder.join("samples/.DS_Store"), "").unwrap();
    std::os::unix::fs::symlink("run.json", folder.join("link")).unwrap();
    fs::create_dir_all(folder.join("notes/of mine")).unwrap();
    fs::create_dir(archive.draft.folder().join("tree/monitoring/nothing")).unwrap();
    let sealed = archive.sealed();
    assert_eq!(sealed.verify().unwrap_or_else(|failure| panic!("{failure}")).exit_code(&[]), 0);
    assert_eq!(names(&sealed.folder.join("experiments/quiet")), names(&Archive::sound().draft.experiment("quiet")));
}

/// Both tries are kept: of one that did not come to its end, what is left of it, and why.
#[test]
fn a_try_in_which_a_component_died_is_kept_told_and_counted() {
    for (died, why, code, headline) in [
        (true, "alertmanager died: GET …", 3, "A first try was disturbed: alertmanager died: GET …"),
        (false, "GET …: timed out", 0, "Every claim that could be shown holds"),
    ] {
        let mut archive = Archive::sound();
        let why = why.to_owned();
        archive.provenance.broken_off.push(BrokenOff { run: "error-rate-try-1".to_owned(), end: End { why, died } });
        let log = archive.draft.broken_off("error-rate-try-1").join("logs/alertmanager.log");
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        fs::write(log, "panic: …\n").unwrap();
        let sealed = archive.sealed();
        let outcome = sealed.verify().unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((outcome.exit_code(&[]), outcome.headline().as_str()), (code, headline));
        assert!(sealed.path("broken-off/error-rate-try-1/logs/alertmanager.log").is_file());
        let told = format!("error-rate-try-1 is not judged: {}", if died { "alertmanager died" } else { "GET" });
        for report in ["report.md", "report.html"] {
            assert!(fs::read_to_string(sealed.path(report)).unwrap().contains(&told), "{report}");
        }
        if died {
            sealed.replace("run.json", "\"died\": true", "\"died\": false");
            sealed.resum();
            let failure = sealed.verify().unwrap_err();
            assert!(failure.to_string().contains("told as no death"), "{failure}");
            sealed.replace("run.json", "\"died\": false", "\"died\": true");
        }
        sealed.text("run.json", |text| text.replace("error-rate-try-1", "quiet-try-1"));
        sealed.resum();
        let failure = sealed.verify().unwrap_err();
        assert!(failure.to_string().contains("L1"), "{failure}");
    }
}

/// What is left of a try holds what enacting its scenario writes, and logs of components there are; nothing reads it, so
/// nothing more has a place in it.
#[test]
fn what_is_left_of_a_try_holds_what_enacting_leaves_and_nothing_more() {
    let mut archive = Archive::sound();
    let end = || End { why: "GET …: timed out".to_owned(), died: false };
    archive.provenance.broken_off.push(BrokenOff { run: "error-rate-try-1".to_owned(), end: end() });
    let kept = archive.draft.broken_off("error-rate-try-1");
    for file in ["scenario.toml", "ledger.jsonl", "exposition/before-0.prom", "logs/prometheus.log"] {
        write(&kept.join(file), b"as far as it came\n").unwrap();
    }
    write(&kept.join("samples/up.json"), b"{}").unwrap();
    let sealed = archive.sealed();
    let left = "broken-off/error-rate-try-1";
    let beside = names(&sealed.folder.join(left));
    assert_eq!(beside, ["exposition", "ledger.jsonl", "logs", "scenario.toml"]);
    assert_eq!(sealed.verify().unwrap_or_else(|failure| panic!("{failure}")).exit_code(&[]), 0);
    for file in [
        "samples/up.json",
        "tsdb.tar",
        "panels/app-overview-3.svg",
        "logs/nobody.log",
        "exposition/before-7.prom",
        "screens/Nothing-graph.png",
    ] {
        let file = format!("{left}/{file}");
        write(&sealed.path(&file), b"").unwrap();
        sealed.resum();
        let Err(failure) = sealed.verify() else { panic!("{file} has a place there") };
        let failure = failure.to_string();
        assert!(
            failure.contains("L1") && failure.contains(&format!("{file} is nothing that was asked for")),
            "{failure}"
        );
        fs::remove_file(sealed.path(&file)).unwrap();
        let _ = fs::remove_dir(sealed.path(&file).parent().unwrap());
    }
    sealed.resum();
    sealed.verify().unwrap_or_else(|failure| panic!("as it was: {failure}"));
}

fn is_not_sealed(archive: Archive, secrets: &[&str], why: &str) {
    let (place, sealed) = archive.seal(secrets);
    let failure = sealed.map(|_| ()).expect_err("it must not be sealed");
    assert!(failure.to_string().contains(why), "{failure}");
    assert!(!place.path().join("runs").join(NAME).exists(), "it was sealed");
}

#[test]
fn a_secret_in_any_file_stops_the_sealing() {
    let file = "logs/receiver.log";
    let archive = Archive::sound();
    fs::write(archive.draft.experiment("quiet").join(file), "password=correct-horse\n").unwrap();
    is_not_sealed(archive, &["", "correct-horse"], "experiments/quiet/logs/receiver.log holds a secret");
    // In a file that the sealing itself writes, and in one of bytes that are no text.
    is_not_sealed(Archive::sound(), &["linux x86_64, 2 processors"], "holds a secret");
    is_not_sealed(
        Archive::sound(),
        &["\r\n\u{1a}\n and so on"],
        "screens/AppHigh5xxErrorRate-alerts.png holds a secret",
    );
}

#[test]
fn the_secret_itself_is_not_told() {
    let (_place, sealed) = Archive::sound().seal(&["2 processors"]);
    let failure = sealed.map(|_| ()).expect_err("it must not be sealed");
    assert!(!failure.to_string().contains("2 processors"), "{failure}");
}

#[test]
fn what_proves_nothing_is_not_sealed() {
    is_not_sealed(Archive::new(), &[], "there is no experiment to judge");
    let aside = Archive::sound().superseded(&["quiet"]);
    is_not_sealed(aside, &[], "quiet was put aside though it was not invalid");
    let archive = Archive::sound();
    fs::remove_file(archive.draft.experiment("quiet").join("ledger.jsonl")).unwrap();
    is_not_sealed(archive, &[], "ledger.jsonl");
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_anything_happens() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a file"), "theirs").unwrap();
    for parent in ["a file", "a file/below"].map(|name| place.path().join(name)) {
        let failure = Draft::begin(&parent, "new").expect_err("there is no folder");
        assert_eq!(failure.kind(), Kind::Usage, "{failure}");
        let told = failure.to_string();
        let file = place.path().join("a file");
        assert!(told.starts_with(&format!("cannot write evidence to {}: ", parent.display())), "{told}");
        assert!(told.contains(&format!("{} is no folder", file.display())) && told.contains("--out DIR"), "{told}");
    }
    assert_eq!(fs::read_to_string(place.path().join("a file")).unwrap(), "theirs");
}

#[test]
fn the_sample_that_everybody_has_verifies_and_is_small() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("evidence/sample");
    let outcome = Bundle::open(&folder).and_then(|bundle| bundle.verify());
    let outcome = outcome.unwrap_or_else(|failure| panic!("{failure}: `just evidence-sample` makes it anew"));
    assert_eq!(outcome.exit_code(&[]), 0, "{}", outcome.headline());
    assert_eq!(outcome.provenance.dirty, None);
    assert_eq!(outcome.others, [""; 0], "the reports are not as they would be written now: `just evidence-sample`");
    assert_eq!(outcome.provenance.schema, SCHEMA, "`just evidence-sample` makes it anew");
    let bundle = Bundle::open(&folder).unwrap();
    let bytes: u64 = bundle.files().unwrap().iter().map(|file| fs::metadata(folder.join(file)).unwrap().len()).sum();
    assert!(bytes <= 2_000_000, "{bytes} bytes");
}
