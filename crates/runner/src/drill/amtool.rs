//! amtool's word on what Alertmanager would do: whom an alert is routed to, and what becomes of a message's template.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Mutex, oneshot};

use aiclipx_judge::drill::bundle::lay_out;
use aiclipx_judge::drill::given::Given;
use aiclipx_judge::drill::record::{Message, Notification, Routed};
use aiclipx_judge::files;
use aiclipx_model::drill::alertmanager::Configuration;
use aiclipx_model::drill::messages::Text;
use aiclipx_model::drill::reading::Texts;
use aiclipx_model::drill::secrets::{is_secret, secrets, to_be_checked, without};
use aiclipx_model::failure::{Failure, temporary_folder};
use aiclipx_model::notification::Status;
use aiclipx_stack::pair::{Programs, asked, asked_unless};

/// amtool, with what was given laid out for it.
#[derive(Debug)]
pub(super) struct Amtool {
    program: PathBuf,
    folder: tempfile::TempDir,
    configuration: PathBuf,
    templates: Vec<PathBuf>,
    /// As it stands, for the texts of messages: what is kept says only that they are there.
    original: Configuration,
    secrets: Vec<String>,
    /// Its answers on routes, which are the same in every scene.
    routes: Mutex<BTreeMap<Texts, Vec<String>>>,
    /// Whether it has the templates that Alertmanager has of itself, as amtool has since 0.26.
    knows_own_texts: bool,
}

const LIMIT: Duration = Duration::from_secs(20);
/// Of what promtool says.
const MOST_LINES: usize = 10_000;
/// Each is a process of its own. What is not rendered is not proven.
const MOST_MESSAGES: usize = 1_000;

impl Amtool {
    pub(super) async fn of(programs: &Programs, given: &Given, configuration: &[u8]) -> Result<Amtool, Failure> {
        let folder = temporary_folder()?;
        lay_out(given, folder.path())?;
        let file = folder.path().join(&given.alertmanager);
        let original = Configuration::read(&given.alertmanager, configuration)?;
        files::write(&file, &to_be_checked(configuration).unwrap_or_default())?;
        let mut amtool = Amtool {
            program: programs.amtool.path.clone(),
            configuration: file,
            templates: Vec::new(),
            folder,
            original,
            secrets: secrets(configuration),
            routes: Mutex::default(),
            knows_own_texts: false,
        };
        // Before there are others that may define them anew.
        let own = Text { place: String::new(), text: "{{ template \"__subject\" . }}".to_owned(), is_html: false };
        amtool.knows_own_texts = amtool.rendered(&own, None).await?.is_ok();
        amtool.templates = given.templates().iter().map(|path| amtool.folder.path().join(path)).collect();
        Ok(amtool)
    }

    pub(super) fn knows_own_texts(&self) -> bool {
        self.knows_own_texts
    }

    /// A configuration that Alertmanager would refuse is told before anything is lived.
    pub(super) async fn accepts(&self) -> Result<(), Failure> {
        let file = self.configuration.to_string_lossy().into_owned();
        let (is_content, out, err) = asked(&self.program, &["check-config".to_owned(), file.clone()], LIMIT).await?;
        if is_content {
            return Ok(());
        }
        let here = format!("{}/", self.folder.path().display());
        let said = without(&self.secrets, &[out, err].join("\n").replace(&here, ""));
        let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        Err(Failure::usage(format!("Alertmanager refuses its configuration: {said}")))
    }

    /// What promtool itself says against files of rules, and against tests, by file. What it refuses no Prometheus loads; where a
    /// drill finds nothing wrong in a test that it fails, nothing is proven. It takes no longer than until `enough`.
    pub(super) async fn promtool_fails(
        &self,
        programs: &Programs,
        given: &Given,
        mut enough: oneshot::Receiver<()>,
    ) -> anyhow::Result<BTreeMap<PathBuf, String>> {
        let mut fails = BTreeMap::new();
        let tests = given.tests.iter().map(|tests| ("test", &tests.path));
        for (verb, path) in given.rule_files().map(|path| ("check", path)).chain(tests) {
            let file = self.folder.path().join(path);
            let arguments = [verb, "rules", &file.to_string_lossy()].map(str::to_owned);
            let unwanted = async { drop((&mut enough).await) };
            let asked = asked_unless(&programs.promtool.path, &arguments, self.folder.path(), unwanted).await?;
            let Some((is_content, said)) = asked else { break };
            if !is_content {
                let said = said.replace(&format!("{}/", self.folder.path().display()), "");
                let lines = said.lines().map(str::trim);
                let is_about_it = |line: &&str| !["", "FAILED:"].contains(line) && !line.starts_with("Checking ");
                let lines = lines.filter(is_about_it).filter(|line| !line.starts_with("Unit Testing"));
                // How it begins, and of which alerts it speaks.
                let told = lines
                    .enumerate()
                    .filter(|(at, line)| *at < 3 || line.starts_with("alertname: ") || line.starts_with("rule: "));
                let told: Vec<&str> = told.map(|(_, line)| line).take(MOST_LINES).collect();
                fails.insert(path.clone(), told.join("\n"));
            }
        }
        Ok(fails)
    }

    /// Who is told of an alert, as `amtool config routes test` says.
    pub(super) async fn route(&self, labels: &Texts) -> anyhow::Result<Routed> {
        let mut known = self.routes.lock().await;
        if let Some(receivers) = known.get(labels) {
            return Ok(Routed { labels: labels.clone(), receivers: receivers.clone() });
        }
        let mut arguments = ["config", "routes", "test"].map(str::to_owned).to_vec();
        arguments.push(format!("--config.file={}", self.configuration.display()));
        arguments.push("--".to_owned());
        arguments.extend(labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))));
        let (is_content, out, err) = asked(&self.program, &arguments, LIMIT).await?;
        anyhow::ensure!(is_content, "amtool routes nothing: {out} {err}");
        let receivers = named(&out, &self.original);
        known.insert(labels.clone(), receivers.clone());
        Ok(Routed { labels: labels.clone(), receivers })
    }

    /// What becomes of a receiver's templates with what it was first sent of each alert as it fires, and as it is over.
    pub(super) async fn messages(
        &self,
        given: &Given,
        told: &[(Notification, String)],
    ) -> anyhow::Result<Vec<Message>> {
        let mut messages = Vec::new();
        let mut known = BTreeSet::new();
        for (index, (notification, line)) in told.iter().enumerate() {
            let name = &notification.body.receiver;
            let mut is_news = false;
            for alert in &notification.body.alerts {
                is_news |= known.insert((name, &alert.labels, alert.status == Status::Firing));
            }
            if !is_news || messages.len() > MOST_MESSAGES {
                continue;
            }
            let Some(receiver) = self.original.receiver(name) else { continue };
            if receiver.texts.is_empty() {
                continue;
            }
            let body: serde_json::Value = serde_json::from_str(line).context("a notification")?;
            let data = self.folder.path().join(format!("data-{}.json", uuid()));
            std::fs::write(&data, serde_json::to_vec(&body["body"])?).context("cannot write a notification")?;
            // Arguments of a program can be read by everybody on this machine.
            for text in receiver.texts.iter().filter(|text| !is_secret(&text.place)) {
                let Some(came) = self.came(text, &data).await? else { continue };
                let is_shown = given.configuration.receiver(name).is_some_and(|kept| {
                    kept.texts.iter().any(|one| (&one.place, &one.text) == (&text.place, &text.text))
                });
                let came = match came {
                    Ok(_) if !is_shown => Ok("left out".to_owned()),
                    Ok(text) => Ok(without(&self.secrets, &text)),
                    Err(why) => Err(without(&self.secrets, &why)),
                };
                let place = text.place.clone();
                messages.push(Message { receiver: name.clone(), place, notification: index, came });
            }
            let _ = std::fs::remove_file(&data);
        }
        Ok(messages)
    }

    /// What comes of a text; nothing where that can't be known for want of Alertmanager's own templates.
    async fn came(&self, text: &Text, data: &Path) -> anyhow::Result<Option<Result<String, String>>> {
        let (mut text, mut is_whole) = (text.clone(), true);
        loop {
            let came = self.rendered(&text, Some(data)).await?;
            let Err(why) = &came else { return Ok(is_whole.then_some(came)) };
            let Some(missed) = missed_default(why) else { return Ok(Some(came)) };
            // This version of Alertmanager has no such text, or this amtool has none of them.
            let Some(less) = text.without(missed) else {
                return Ok(self.knows_own_texts.then_some(came));
            };
            is_whole = self.knows_own_texts;
            text = less;
        }
    }

    async fn rendered(&self, text: &Text, data: Option<&Path>) -> anyhow::Result<Result<String, String>> {
        let mut arguments = ["template", "render"].map(str::to_owned).to_vec();
        arguments.push(format!("--template.text={}", text.text));
        arguments.extend(text.is_html.then(|| "--template.type=html".to_owned()));
        arguments.extend(data.map(|data| format!("--template.data={}", data.display())));
        if self.templates.is_empty() {
            arguments.push(format!("--template.glob={}/none-*.tmpl", self.folder.path().display()));
        }
        arguments.extend(self.templates.iter().map(|file| format!("--template.glob={}", file.display())));
        let (is_content, out, err) = asked(&self.program, &arguments, LIMIT).await?;
        let err = err.trim_start_matches("amtool: error: ").replace(&*self.folder.path().to_string_lossy(), "");
        Ok(if is_content { Ok(out) } else { Err(err.lines().next().unwrap_or("amtool failed").to_owned()) })
    }
}

/// The template of a name that Alertmanager's own have, where amtool misses one.
fn missed_default(why: &str) -> Option<&str> {
    let before = ["\" not defined", "no such template \""].into_iter().find_map(|words| {
        let (before, behind) = why.split_once(words)?;
        if words.starts_with('"') { before.rsplit('"').next() } else { behind.split('"').next() }
    });
    before.filter(|name| name.contains(".default.") || name.starts_with("__"))
}

/// The receivers in a list with commas between them: a name may hold one, too.
fn named(list: &str, configuration: &Configuration) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let ends = rest.match_indices(',').map(|(at, _)| at).chain([rest.len()]);
        // The longest that is one; else up to the next comma.
        let known = ends.clone().rfind(|end| configuration.receiver(rest[..*end].trim()).is_some());
        let end = known.or_else(|| ends.min()).unwrap_or(rest.len());
        names.push(rest[..end].trim().to_owned());
        rest = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
    }
    names
}

/// A name that no other message's data has at this moment.
fn uuid() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// A value as a matcher has it.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_have_a_comma_in_its_name() {
        let file = b"route: {receiver: a}\nreceivers: [{name: a}, {name: \"c,o\"}, {name: b}]\n";
        let configuration = Configuration::read(Path::new("am.yml"), file).unwrap();
        assert_eq!(named("a,c,o,b", &configuration), ["a", "c,o", "b"]);
        assert_eq!(named("a, b", &configuration), ["a", "b"]);
        assert_eq!(named("who,a", &configuration), ["who", "a"]);
    }

    #[test]
    fn what_an_old_amtool_lacks_is_told_from_what_is_wrong() {
        let why = "template: :1:12: executing \"\" at <{{template \"slack.default.title\" .}}>: template \"slack.default.title\" not defined";
        assert_eq!(missed_default(why), Some("slack.default.title"));
        assert_eq!(missed_default("html/template:: \"x\": no such template \"__subject\""), Some("__subject"));
        assert_eq!(missed_default("template: :1: template \"mine\" not defined"), None);
        assert_eq!(missed_default("executing \"__subject\" at <.X>: nil"), None);
    }
}
