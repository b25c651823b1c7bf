//! A stack that somebody else started, in containers or in a cluster: found by its addresses, asked, and never touched.
//!
//! What it runs must be monitoring/ as it stands, or as `aiclipx render` writes it: then its configuration can be
//! compared. Nothing of it can be stopped from here, and its log files can't be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use super::component::Component;
use super::layout;
use super::mark::Mark;
use crate::prom::client::Api;
use aiclipx_base::address::Address;
use aiclipx_base::duration::Speed;
use aiclipx_http::client;
use aiclipx_model::failure::Failure;
use aiclipx_model::monitoring::speed_of;
use aiclipx_model::prom::answer::Data;
use aiclipx_model::prom::exposition;
use aiclipx_model::service::{APP, Build, FILE, Service};

/// One question to a component.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// Clocks that are kept by a time server differ by less.
const MAX_CLOCK_DIFFERENCE_MS: i64 = 500;

/// Where a stack's components are, as `--attach` takes it: a host, at which each is on its usual port, or `NAME=URL`s,
/// or both, with commas between. Of a component that is neither named nor answers, what only it knows is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Several of the service are its replicas.
    app: Vec<Address>,
    others: BTreeMap<Component, Address>,
}

/// Those that can be asked for something. Vector and Loki are scraped, and that is all we need of them.
const ASKED: [Component; 5] =
    [Component::App, Component::Prometheus, Component::Alertmanager, Component::Receiver, Component::Grafana];

impl FromStr for Endpoints {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoints, String> {
        let mut host = None;
        let (mut app, mut others) = (Vec::new(), BTreeMap::new());
        for part in text.split(',') {
            let Some((name, url)) = part.split_once('=') else {
                // A host with a port would be of one component, and does not say which.
                if part.is_empty() || part.contains(['/', ' ']) || part.parse::<Address>().is_ok() {
                    return Err(format!(
                        "`{part}` is neither a host nor a component and its URL; write it like 127.0.0.1, or like \
                         app=http://127.0.0.1:8080,prometheus=http://127.0.0.1:9090"
                    ));
                }
                if host.replace(part).is_some() {
                    return Err("two hosts; name what is not at the first, like prometheus=http://HOST:9090".to_owned());
                }
                continue;
            };
            let component: Component = name.parse()?;
            let address: Address = url.parse()?;
            match component {
                Component::App => app.push(address),
                _ if !ASKED.contains(&component) => {
                    let names: Vec<&str> = ASKED.iter().map(|component| component.name()).collect();
                    return Err(format!("{name} is not asked for anything; there are {}", names.join(", ")));
                }
                _ => {
                    if others.insert(component, address).is_some() {
                        return Err(format!("{name} is named twice"));
                    }
                }
            }
        }
        if let Some(host) = host {
            let usual = |component: Component| Address { host: host.to_owned(), port: component.default_port() };
            if app.is_empty() {
                app.push(usual(Component::App));
            }
            for component in ASKED.into_iter().filter(|component| *component != Component::App) {
                others.entry(component).or_insert_with(|| usual(component));
            }
        }
        for (component, is_named) in
            [(Component::App, !app.is_empty()), (Component::Prometheus, others.contains_key(&Component::Prometheus))]
        {
            if !is_named {
                return Err(format!("nothing can be shown without {component}; add {component}=URL"));
            }
        }
        Ok(Endpoints { app, others })
    }
}

/// Such a stack as it was found.
#[derive(Debug, Clone)]
pub struct ExternalStack {
    pub app: Vec<Address>,
    /// Where they are asked for their metrics.
    pub scraped: Vec<Address>,
    pub prometheus: Address,
    /// Alertmanager, where it answers.
    pub alertmanager: Option<Address>,
    /// The receiver, where it answers.
    pub receiver: Option<Address>,
    /// Grafana, where it answers.
    pub grafana: Option<Address>,
    /// As its Prometheus says: the external label that every copy of the configuration has.
    pub speed: Speed,
    /// When its Prometheus was started, Unix milliseconds.
    pub started_ms: i64,
    /// What components say they are.
    pub versions: BTreeMap<String, String>,
    /// Who could not be asked, and why.
    pub absent: BTreeMap<Component, String>,
    /// Where runs on it are kept.
    pub state: PathBuf,
}

impl ExternalStack {
    /// Asks every component for its version. A service or a Prometheus that does not answer is a usage failure; of
    /// another component it is kept.
    ///
    /// Runs will lie in a folder of this stack's own below `state`.
    pub async fn find(endpoints: &Endpoints, service: &Service, state: &Path) -> Result<ExternalStack, Failure> {
        let mut versions = BTreeMap::new();
        // What only the monitoring reaches is out of reach from here, unless its file says where that is.
        let scraped = service.monitoring.as_ref().filter(|_| endpoints.app.len() == 1);
        let scraped = scraped.map_or_else(|| endpoints.app.clone(), |one| vec![one.clone()]);
        for (index, address) in scraped.iter().enumerate() {
            let name = if index == 0 { APP.to_owned() } else { format!("{APP}-{}", index + 1) };
            let version =
                version_of_service(address, service).await.map_err(|why| cannot(Component::App, address, &why))?;
            versions.insert(name, version);
        }
        let address = &endpoints.others[&Component::Prometheus];
        let prometheus = AskedPrometheus::ask(address).await;
        let AskedPrometheus { version, speed, started_ms } =
            prometheus.map_err(|why| cannot(Component::Prometheus, address, &why))?;
        versions.insert(Component::Prometheus.name().to_owned(), version);

        let (mut answering, mut absent) = (BTreeMap::new(), BTreeMap::new());
        for (component, path, pointer) in [
            (Component::Alertmanager, "/api/v2/status", "/versionInfo/version"),
            // It tells no version; that it answers in its own words is what was asked.
            (Component::Receiver, "/health", "/watchdog"),
            (Component::Grafana, "/api/health", "/version"),
        ] {
            match said(endpoints, component, path, pointer).await {
                Ok((address, said)) => {
                    answering.insert(component, address);
                    if component != Component::Receiver {
                        versions.insert(component.name().to_owned(), said);
                    }
                }
                Err(why) => drop(absent.insert(component, why)),
            }
        }
        Ok(ExternalStack {
            app: endpoints.app.clone(),
            scraped,
            prometheus: address.clone(),
            alertmanager: answering.remove(&Component::Alertmanager),
            receiver: answering.remove(&Component::Receiver),
            grafana: answering.remove(&Component::Grafana),
            speed,
            started_ms,
            versions,
            absent,
            state: folder_of_its_own(address, state)?,
        })
    }
}

/// What a Prometheus says of itself and of what it runs.
struct AskedPrometheus {
    version: String,
    speed: Speed,
    started_ms: i64,
}

impl AskedPrometheus {
    async fn ask(address: &Address) -> Result<AskedPrometheus, String> {
        let prometheus = Api::new(address);
        let asked = async {
            let version = prometheus.json("/api/v1/status/buildinfo").await?;
            let runtime = prometheus.json("/api/v1/status/runtimeinfo").await?;
            let config = prometheus.json("/api/v1/status/config").await?;
            let before = jiff::Timestamp::now();
            let time = prometheus.query("time()", None).await?;
            anyhow::Ok((version, runtime, config, ahead_ms(before, jiff::Timestamp::now(), &time)?))
        };
        let (version, runtime, config, ahead) = asked.await.map_err(|error| format!("{error:#}"))?;
        // Which scrape came before the first request, and which after the last, is told by its clock and ours.
        if ahead.abs() > MAX_CLOCK_DIFFERENCE_MS {
            return Err(format!("its clock differs from ours by {ahead} ms"));
        }
        let started = text_of(&runtime, "/data/startTime").and_then(|started| started.parse::<jiff::Timestamp>().ok());
        let started = started.ok_or("it does not say when it was started")?;
        Ok(AskedPrometheus {
            version: text_of(&version, "/data/version").unwrap_or("unknown").to_owned(),
            speed: speed_of(text_of(&config, "/data/yaml").unwrap_or_default())?,
            started_ms: started.as_millisecond(),
        })
    }
}

/// Where another component is, and what it says there; or why nothing can be had of it.
async fn said(
    endpoints: &Endpoints,
    component: Component,
    path: &str,
    pointer: &str,
) -> Result<(Address, String), String> {
    let address = endpoints.others.get(&component);
    let address = address.ok_or_else(|| format!("--attach does not say where {component} is"))?;
    let answer = Api::new(address).json(path).await;
    let answer = answer.map_err(|error| format!("{component} does not answer: {error:#}"))?;
    let said = text_of(&answer, pointer).ok_or_else(|| format!("{address} answers, but is no {component}"))?;
    Ok((address.clone(), said.to_owned()))
}

/// The state directory of runs on the stack of this Prometheus.
fn folder_of_its_own(prometheus: &Address, state: &Path) -> Result<PathBuf, Failure> {
    Mark::State.claim(state)?;
    let name = prometheus.to_string().replace([':', '[', ']'], "-");
    let folder = state.join(layout::ATTACHED).join(name);
    std::fs::create_dir_all(&folder).map_err(|error| {
        Failure::usage(format!("the state directory {} is not writable: {error}", folder.display()))
            .remedy("choose another with --state or AICLIPX_STATE")
    })?;
    Ok(folder)
}

fn cannot(component: Component, address: &Address, why: &str) -> Failure {
    Failure::usage(format!("cannot attach to {component} at {address}: {why}"))
        .remedy("is the stack up? --attach says where it is")
}

/// What the service says of itself, in its own metrics.
async fn version_of_service(address: &Address, service: &Service) -> Result<String, String> {
    let answer = client::get(address, &service.metrics, ASK_LIMIT).await.map_err(|error| error.to_string())?;
    let series = exposition::parse(&String::from_utf8_lossy(&answer.body)).map_err(|error| format!("{error:#}"))?;
    let Some(Build { info, version, revision }) = &service.build else { return Ok("unknown".to_owned()) };
    let build = series.keys().find(|series| series.name == *info);
    let build = build.ok_or_else(|| format!("it is not the service of {FILE}: its metrics have no {info}"))?;
    let label =
        |name: &Option<String>| name.as_ref().and_then(|name| build.labels.get(name)).map_or("?", String::as_str);
    Ok(format!("{} ({})", label(version), label(revision)))
}

/// By how much the other clock is ahead of ours, for all that the way there and back leaves open in its favour.
fn ahead_ms(before: jiff::Timestamp, after: jiff::Timestamp, time: &Data) -> anyhow::Result<i64> {
    let Data::Scalar(sample) = time else { anyhow::bail!("time() was not answered by a number") };
    #[allow(clippy::cast_possible_truncation)] // milliseconds of this century lie far below 2^53
    let theirs = (sample.value * 1000.0).round() as i64;
    let (before, after) = (before.as_millisecond(), after.as_millisecond());
    Ok(if theirs < before { theirs - before } else { (theirs - after).max(0) })
}

fn text_of<'a>(answer: &'a Value, pointer: &str) -> Option<&'a str> {
    answer.pointer(pointer)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Endpoints, String> {
        text.parse()
    }

    #[test]
    fn a_host_has_everything_on_its_usual_port() {
        let there = parsed("stack.test").unwrap();
        assert_eq!(there.app, ["stack.test:8080".parse().unwrap()]);
        let others: Vec<String> = there.others.iter().map(|(name, address)| format!("{name}={address}")).collect();
        let expected = "prometheus=stack.test:9090 alertmanager=stack.test:9093 receiver=stack.test:9095 \
                        grafana=stack.test:3000";
        assert_eq!(others.join(" "), expected);
    }

    #[test]
    fn what_is_named_is_where_it_says_and_what_is_not_is_nowhere() {
        let there = parsed("app=http://a:1,app=http://b:2/,prometheus=p:3").unwrap();
        assert_eq!(there.app.len(), 2);
        assert_eq!(there.others.keys().collect::<Vec<_>>(), [&Component::Prometheus]);
        let mixed = parsed("127.0.0.1,prometheus=http://127.0.0.1:9190").unwrap();
        assert_eq!(mixed.others[&Component::Prometheus].port, 9190);
        assert_eq!(mixed.others[&Component::Receiver].port, 9095);
    }

    #[test]
    fn clocks_agree_within_the_time_an_answer_takes() {
        let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap();
        let ahead = |seconds: f64| {
            let time = Data::Scalar(aiclipx_model::prom::answer::Sample { seconds, value: seconds });
            ahead_ms(at(10_000), at(10_300), &time).unwrap()
        };
        assert_eq!([ahead(10.0), ahead(10.2), ahead(10.3)], [0, 0, 0]);
        assert_eq!([ahead(9.0), ahead(11.0)], [-1000, 700]);
        assert!(ahead_ms(at(0), at(0), &Data::Vector(Vec::new())).is_err());
    }

    #[test]
    fn what_can_not_be_meant_is_refused_in_words() {
        for (text, says) in [
            ("", "neither a host nor"),
            ("http://127.0.0.1:8080", "neither a host nor"),
            ("127.0.0.1:8080", "neither a host nor"),
            ("a,b", "two hosts"),
            ("app=http://a:1", "nothing can be shown without prometheus"),
            ("prometheus=p:3", "nothing can be shown without app"),
            ("app=a:1,prometheus=p:3,prometheus=q:3", "named twice"),
            ("app=a:1,prometheus=p:3,loki=l:3100", "is not asked for anything"),
            ("app=https://a:1,prometheus=p:3", "is not an address"),
            ("nobody=a:1", "nobody"),
        ] {
            let refused = parsed(text).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }
}
