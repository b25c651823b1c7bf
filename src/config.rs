//! Every setting of the service, in one table that parses, documents and gives the defaults.
//!
//! Settings come from the environment and are validated at start; all errors are reported together. Nothing here reads the
//! environment: the binary hands in a look-up, and tests hand in theirs.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use log::LevelFilter;

use super::database_url::{self, DatabaseUrl};
use aiclipx_base::address::Address;
use aiclipx_base::duration;

/// A validated configuration. [`SETTINGS`] says what each field means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `APP_LISTEN`, with the port of `PORT` where that is set.
    pub listen: SocketAddr,
    /// `APP_ADMIN_LISTEN`
    pub admin_listen: SocketAddr,
    /// `APP_FAULTS`
    pub faults: bool,
    /// `APP_LOG`
    pub log: LevelFilter,
    /// `APP_ACCESS_LOG`
    pub access_log: bool,
    /// `APP_MAX_ITEMS`
    pub max_items: usize,
    /// `APP_DATABASE_URL`; without one, items are kept in memory.
    pub database: Option<DatabaseUrl>,
    /// `APP_DATABASE_POOL`
    pub database_pool: usize,
    /// `APP_DATABASE_WAIT`
    pub database_wait: Duration,
    /// `APP_DATABASE_TIMEOUT`
    pub database_timeout: Duration,
    /// `APP_MAX_BODY_BYTES`
    pub max_body_bytes: usize,
    /// `APP_MAX_BUFFERED_BYTES`
    pub max_buffered_bytes: usize,
    /// `APP_MAX_CONNECTIONS`
    pub max_connections: usize,
    /// `APP_HEADER_TIMEOUT`
    pub header_timeout: Duration,
    /// `APP_REQUEST_TIMEOUT`
    pub request_timeout: Duration,
    /// `APP_DRAIN_DELAY`
    pub drain_delay: Duration,
    /// `APP_DRAIN_TIMEOUT`
    pub drain_timeout: Duration,
    /// `APP_REVISION`
    pub revision: String,
}

/// One row of the table.
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Its value when it is not set; empty for none.
    pub default: &'static str,
    /// What may be written, units included.
    pub values: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Reads a value into the configuration, or says what is expected instead.
    read: fn(&mut Config, &str) -> Result<(), String>,
}

/// The table, in the order in which it applies: `PORT` after `APP_LISTEN`.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "APP_LISTEN",
        default: "127.0.0.1:8080",
        values: "IP:PORT, port 0…65535",
        meaning: "where to listen; port 0 takes a free one",
        read: |config, text| {
            config.listen = address(text)?;
            Ok(())
        },
    },
    Setting {
        name: "PORT",
        default: "",
        values: "0…65535",
        meaning: "changes the port of APP_LISTEN alone",
        read: |config, text| {
            config.listen.set_port(number(text, 0..=u16::MAX)?);
            Ok(())
        },
    },
    Setting {
        name: "APP_ADMIN_LISTEN",
        default: "127.0.0.1:8081",
        values: "IP:PORT, port 0…65535",
        meaning: "where /metrics and /health are served to the monitoring, whatever clients do",
        read: |config, text| {
            config.admin_listen = address(text)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_FAULTS",
        default: "off",
        values: "on, off",
        meaning: "whether the header x-fault makes a request fail; for demonstrations",
        read: |config, text| {
            config.faults = switch(text)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_LOG",
        default: "info",
        values: "off, error, warn, info, debug, trace",
        meaning: "the least severe level that is logged; libraries stay at warn",
        read: |config, text| {
            config.log =
                LevelFilter::from_str(text).map_err(|_| "off, error, warn, info, debug or trace".to_owned())?;
            Ok(())
        },
    },
    Setting {
        name: "APP_ACCESS_LOG",
        default: "on",
        values: "on, off",
        meaning: "whether each request is logged, at info",
        read: |config, text| {
            config.access_log = switch(text)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_MAX_ITEMS",
        default: "10000",
        values: "1…1000000",
        meaning: "items the store holds; one more is answered 409",
        read: |config, text| {
            config.max_items = number(text, 1..=1_000_000)?;
            Ok(())
        },
    },
    Setting {
        name: DATABASE_URL,
        default: "",
        values: database_url::SHAPE,
        meaning: "keeps the items in PostgreSQL, with a build that can; not set, in memory",
        read: |config, text| {
            config.database = Some(DatabaseUrl::parse(text)?);
            Ok(())
        },
    },
    Setting {
        name: "APP_DATABASE_POOL",
        default: "8",
        values: "1…1000",
        meaning: "connections to the database, at most; one more looks how it is",
        read: |config, text| {
            config.database_pool = number(text, 1..=1000)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_DATABASE_WAIT",
        default: "1s",
        values: "10ms…1m",
        meaning: "for a connection, a free one or a new one; longer is answered 503",
        read: |config, text| {
            config.database_wait = span(text, 10..=MINUTE)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_DATABASE_TIMEOUT",
        default: "2s",
        values: "10ms…1m",
        meaning: "for a statement, which the database then cancels; answered 503",
        read: |config, text| {
            config.database_timeout = span(text, 10..=MINUTE)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_MAX_BODY_BYTES",
        default: "65536",
        values: "1…16777216 bytes",
        meaning: "length of a request body; a longer one is answered 413",
        read: |config, text| {
            config.max_body_bytes = number(text, 1..=16 << 20)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_MAX_BUFFERED_BYTES",
        default: "8388608",
        values: "65536…1073741824 bytes",
        meaning: "bodies under way and answers in hand, together; more is answered 503",
        read: |config, text| {
            config.max_buffered_bytes = number(text, 64 << 10..=1 << 30)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_MAX_CONNECTIONS",
        default: "1024",
        values: "1…100000",
        meaning: "connections open at once; more wait unaccepted",
        read: |config, text| {
            config.max_connections = number(text, 1..=100_000)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_HEADER_TIMEOUT",
        default: "10s",
        values: "10ms…1h",
        meaning: "for a whole request head, a whole body, an idle connection to speak, a stalled client to read",
        read: |config, text| {
            config.header_timeout = span(text, 10..=HOUR)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_REQUEST_TIMEOUT",
        default: "30s",
        values: "10ms…1h",
        meaning: "from a request's head to its answer; longer is answered 503",
        read: |config, text| {
            config.request_timeout = span(text, 10..=HOUR)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_DRAIN_DELAY",
        default: "0s",
        values: "0…1h",
        meaning: "from SIGTERM, serving but not ready, to the end of accepting",
        read: |config, text| {
            config.drain_delay = span(text, 0..=HOUR)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_DRAIN_TIMEOUT",
        default: "10s",
        values: "0…1h",
        meaning: "from the end of accepting until open connections are cut",
        read: |config, text| {
            config.drain_timeout = span(text, 0..=HOUR)?;
            Ok(())
        },
    },
    Setting {
        name: "APP_REVISION",
        default: "unknown",
        values: "1…64 of A-Z a-z 0-9 . _ + -",
        meaning: "the label `revision` of app_build_info",
        read: |config, text| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
            if !(1..=64).contains(&text.len()) || !text.bytes().all(plain) {
                return Err("1 to 64 letters, digits, dots, underscores, pluses or dashes".to_owned());
            }
            text.clone_into(&mut config.revision);
            Ok(())
        },
    },
];

const MINUTE: u64 = 60_000;
const HOUR: u64 = 3_600_000;

/// Its value holds a password, and is never repeated.
const DATABASE_URL: &str = "APP_DATABASE_URL";

/// What a statement gets on top of `APP_DATABASE_TIMEOUT`: the database cancels it first, and then says that nothing was changed.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// Whether this build can keep items in PostgreSQL.
pub const WITH_POSTGRES: bool = cfg!(feature = "postgres");

impl Default for Config {
    /// The table's defaults.
    fn default() -> Config {
        let mut config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            faults: false,
            log: LevelFilter::Off,
            access_log: false,
            max_items: 0,
            database: None,
            database_pool: 0,
            database_wait: Duration::ZERO,
            database_timeout: Duration::ZERO,
            max_body_bytes: 0,
            max_buffered_bytes: 0,
            max_connections: 0,
            header_timeout: Duration::ZERO,
            request_timeout: Duration::ZERO,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            revision: String::new(),
        };
        for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
            (setting.read)(&mut config, setting.default).expect("a test holds that every default is valid");
        }
        config
    }
}

impl Config {
    /// The defaults, changed by what `look_up` gives for a setting's name; or one line for every value that is wrong.
    /// A value that is set but empty counts as not set, as compose files leave it.
    pub fn read(look_up: impl Fn(&str) -> Option<String>) -> Result<Config, Vec<String>> {
        let mut config = Config::default();
        let mut errors = Vec::new();
        for setting in SETTINGS {
            let Some(text) = look_up(setting.name).filter(|text| !text.is_empty()) else { continue };
            match (setting.read)(&mut config, &text) {
                Ok(()) => {}
                Err(wrong) if setting.name == DATABASE_URL => {
                    errors.push(format!("{DATABASE_URL} can't be read: {wrong}; it takes {}", database_url::SHAPE));
                }
                Err(expected) => errors.push(format!("{} is `{}`; it takes {expected}", setting.name, shown(&text))),
            }
        }
        if config.database.is_some() && !WITH_POSTGRES {
            errors.push(format!(
                "{DATABASE_URL} is set, and this build keeps items in memory alone: take one with PostgreSQL \
                 (`cargo build --features postgres`, the image image-postgres), or leave it unset"
            ));
        }
        if config.max_body_bytes > config.max_buffered_bytes {
            errors.push(format!(
                "APP_MAX_BUFFERED_BYTES, which all bodies share, is {1}; it takes at least as many as APP_MAX_BODY_BYTES, {0}",
                config.max_body_bytes, config.max_buffered_bytes
            ));
        }
        errors.extend(config.too_little_time());
        if errors.is_empty() && config.listen == config.admin_listen && config.listen.port() != 0 {
            errors.push(format!("APP_LISTEN and APP_ADMIN_LISTEN are both {}; move one of them", config.listen));
        }
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// With a database a request has as long as its parts may take: of one that is ended sooner nobody knows what it changed.
    fn too_little_time(&self) -> Option<String> {
        let parts = self.header_timeout + self.database_wait + self.database_timeout + GRACE;
        if self.database.is_none() || parts <= self.request_timeout {
            return None;
        }
        let [request, parts, body, wait, statement, grace] =
            [self.request_timeout, parts, self.header_timeout, self.database_wait, self.database_timeout, GRACE]
                .map(duration::print);
        Some(format!(
            "APP_REQUEST_TIMEOUT is {request}, and with a database a request may take {parts}: APP_HEADER_TIMEOUT ({body}) for its \
             body, APP_DATABASE_WAIT ({wait}), APP_DATABASE_TIMEOUT ({statement}) and {grace}; it takes at least their sum"
        ))
    }

    /// Where the monitoring's listener is reached from its own machine: loopback when it listens on every address.
    pub fn reachable(&self) -> Address {
        let mut address = self.admin_listen;
        if address.ip().is_unspecified() {
            match address {
                SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
                SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            }
        }
        Address { host: address.ip().to_string(), port: address.port() }
    }
}

/// Those of these variables that look like settings and are not, as a list to print: misspelt ones, and those that Kubernetes
/// gives every pod for a service called `app` (`APP_PORT=tcp://…`). As with settings, an empty one counts as not set.
pub fn unknown_variables(variables: impl Iterator<Item = (String, String)>) -> Option<String> {
    const TOLD: usize = 8;
    let is_strange = |name: &str| name.starts_with("APP_") && SETTINGS.iter().all(|setting| setting.name != name);
    let strange = variables.filter(|(name, value)| is_strange(name) && !value.is_empty());
    let mut names: Vec<String> = strange.map(|(name, _)| shown(&name)).collect();
    names.sort();
    let more = names.len().saturating_sub(TOLD);
    names.truncate(TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| names.join(", ") + &more)
}

/// Untrusted text made fit to print: its beginning, with everything that a terminal would act on escaped.
fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// The table for people: name, default, values and meaning of every setting.
pub fn help() -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "not set" } else { setting.default };
        let _ = writeln!(
            text,
            "  {:<22} {:<15} {}\n  {:38} {}",
            setting.name, default, setting.values, "", setting.meaning
        );
    }
    text
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an IP address and a port, like 127.0.0.1:8080".to_owned())
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off".to_owned()),
    }
}

fn number<N: FromStr + PartialOrd + std::fmt::Display>(text: &str, range: RangeInclusive<N>) -> Result<N, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
}

/// A duration within a range of milliseconds.
fn span(text: &str, range: RangeInclusive<u64>) -> Result<Duration, String> {
    let [least, most] = [*range.start(), *range.end()].map(Duration::from_millis);
    duration::parse(text).ok().filter(|span| (least..=most).contains(span)).ok_or_else(|| {
        format!("a duration from {} to {}, like 250ms or 10s", duration::print(least), duration::print(most))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        Config::read(|name| settings.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn without_an_environment_the_defaults_of_the_design_hold() {
        let config = read(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.admin_listen.to_string(), "127.0.0.1:8081");
        assert!(!config.faults);
        assert!(config.access_log);
        assert_eq!((config.max_items, config.max_body_bytes, config.max_connections), (10_000, 65_536, 1024));
        assert_eq!(config.header_timeout, Duration::from_secs(10));
        assert_eq!(config.request_timeout, Duration::from_secs(30));
        assert_eq!((config.drain_delay, config.drain_timeout), (Duration::ZERO, Duration::from_secs(10)));
    }

    #[test]
    fn the_port_of_the_original_changes_the_port_alone() {
        let config = read(&[("PORT", "9000"), ("APP_LISTEN", "0.0.0.0:1")]).unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:9000");
    }

    #[test]
    fn every_error_is_told_at_once() {
        let wrong = [
            ("APP_LISTEN", "localhost"),
            ("PORT", "65536"),
            ("APP_ADMIN_LISTEN", "8081"),
            ("APP_FAULTS", "yes"),
            ("APP_LOG", "loud"),
            ("APP_ACCESS_LOG", "1"),
            ("APP_MAX_ITEMS", "0"),
            ("APP_DATABASE_URL", "localhost"),
            ("APP_DATABASE_POOL", "0"),
            ("APP_DATABASE_WAIT", "0"),
            ("APP_DATABASE_TIMEOUT", "2"),
            ("APP_MAX_BODY_BYTES", "64k"),
            ("APP_MAX_BUFFERED_BYTES", "1k"),
            ("APP_MAX_CONNECTIONS", "-1"),
            ("APP_HEADER_TIMEOUT", "0"),
            ("APP_REQUEST_TIMEOUT", "30"),
            ("APP_DRAIN_DELAY", "2h"),
            ("APP_DRAIN_TIMEOUT", "soon"),
            ("APP_REVISION", "a\nb"),
        ];
        let errors = read(&wrong).unwrap_err();
        assert_eq!(errors.len(), SETTINGS.len());
        for ((name, _), error) in wrong.iter().zip(&errors) {
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn a_database_needs_a_build_that_knows_it_and_its_password_is_told_to_nobody() {
        let read = read(&[("APP_DATABASE_URL", "postgres://me:SECRET@h/n")]);
        assert_eq!(read.is_ok(), WITH_POSTGRES);
        let shown = format!("{read:?}");
        assert!(!shown.contains("SECRET") && (WITH_POSTGRES || shown.contains("--features postgres")), "{shown}");
        let wrong = Config::read(|name| (name == DATABASE_URL).then(|| "postgres://me:SEC/RET@h/n".to_owned()));
        assert!(!format!("{wrong:?}").contains("SEC"), "{wrong:?}");
    }

    #[test]
    fn with_a_database_a_request_has_the_time_that_its_parts_may_take() {
        const URL: (&str, &str) = ("APP_DATABASE_URL", "postgres://me:SECRET@h/n");
        let about_time = |settings: &[(&str, &str)]| {
            let errors = read(settings).err().unwrap_or_default();
            errors.into_iter().find(|error| error.starts_with("APP_REQUEST_TIMEOUT"))
        };
        assert_eq!(about_time(&[URL]), None, "the defaults fit");
        assert_eq!(about_time(&[URL, ("APP_REQUEST_TIMEOUT", "13500ms")]), None);
        assert_eq!(about_time(&[("APP_REQUEST_TIMEOUT", "10ms")]), None, "in memory nothing is waited for");
        for (setting, value) in [
            ("APP_REQUEST_TIMEOUT", "13s499ms"),
            ("APP_HEADER_TIMEOUT", "30s"),
            ("APP_DATABASE_WAIT", "20s"),
            ("APP_DATABASE_TIMEOUT", "1m"),
        ] {
            let error = about_time(&[URL, (setting, value)]).unwrap_or_default();
            assert!(error.contains(setting) && error.contains(value), "{setting}: {error}");
        }
    }

    #[test]
    fn one_body_fits_in_what_all_share() {
        assert!(read(&[("APP_MAX_BODY_BYTES", "70000"), ("APP_MAX_BUFFERED_BYTES", "70000")]).is_ok());
        let errors = read(&[("APP_MAX_BODY_BYTES", "70001"), ("APP_MAX_BUFFERED_BYTES", "70000")]).unwrap_err();
        assert!(errors.len() == 1 && errors[0].contains("at least as many"), "{errors:?}");
    }

    /// What the defaults add up to, each at its worst at the same time, is no more than the container gets.
    #[test]
    fn the_defaults_fit_in_what_compose_gives() {
        use crate::in_flight::PIECE_BYTES;
        use crate::store::item::MAX_NAME_BYTES;
        const MIB: usize = 1 << 20;
        let compose = include_str!("../compose.yaml");
        let (_, app) = compose.split_once("\n  app:\n").expect("compose.yaml has the service");
        let limit =
            app.lines().find_map(|line| line.trim().strip_prefix("mem_limit: ")?.strip_suffix('m')?.parse().ok());
        let limit = limit.map(|mib: usize| mib * MIB).expect("the service has a limit in megabytes");

        let config = Config::default();
        // A head that doesn't end, what is left of an answer that isn't read, and the connection's own state.
        let connection = aiclipx_http::serve::BUFFER_BYTES + (aiclipx_http::serve::BUFFER_BYTES + PIECE_BYTES) + 8192;
        let connections = (config.max_connections + crate::ADMIN_CONNECTIONS) * connection;
        // An item's longest name, and what the tree of them needs beside it.
        let items = config.max_items * (MAX_NAME_BYTES + 64);
        let program = 6 * MIB;
        let most = program + connections + config.max_buffered_bytes + items;
        assert!(most <= limit, "{} KiB of {} KiB", most >> 10, limit >> 10);
    }

    #[test]
    fn a_wildcard_is_reached_over_loopback_of_its_own_family() {
        for (listen, reached) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.7:80", "192.0.2.7:80")]
        {
            assert_eq!(read(&[("APP_ADMIN_LISTEN", listen)]).unwrap().reachable().to_string(), reached);
        }
    }

    #[test]
    fn the_two_listeners_are_two() {
        let errors = read(&[("PORT", "8081")]).unwrap_err();
        assert!(errors[0].contains("APP_LISTEN") && errors[0].contains("APP_ADMIN_LISTEN"), "{errors:?}");
        let free = read(&[("PORT", "0"), ("APP_ADMIN_LISTEN", "127.0.0.1:0")]);
        assert!(free.is_ok(), "each takes a free one: {free:?}");
        assert!(read(&[("PORT", "8081"), ("APP_ADMIN_LISTEN", "127.0.0.2:8081")]).is_ok());
    }

    #[test]
    fn of_a_bad_value_nothing_reaches_the_terminal_but_printable_text() {
        let wrong = "\u{1b}[2J\r\n\u{202e}\u{9b}\u{2028}\u{feff}\0é".to_owned() + &"x".repeat(100_000);
        let names = SETTINGS.iter().map(|setting| setting.name);
        let errors = read(&names.map(|name| (name, wrong.as_str())).collect::<Vec<_>>()).unwrap_err();
        assert_eq!(errors.len(), SETTINGS.len());
        for error in errors {
            assert!(
                error.len() < 400
                    && (error.starts_with(DATABASE_URL)
                        || error.contains(r"\u{1b}[2J\r\n\u{202e}\u{9b}\u{2028}\u{feff}\0éxxx")),
                "{error}"
            );
            assert!(!error.contains(|c: char| c.is_control() || "\u{202e}\u{2028}\u{feff}".contains(c)), "{error:?}");
        }
    }

    #[test]
    fn variables_that_look_like_settings_and_are_none_are_named_and_nothing_else_is() {
        let told = |variables: &[(&str, &str)]| {
            unknown_variables(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
        };
        assert_eq!(
            told(&[("APP_LOG", "info"), ("PORT", "1"), ("app_x", "1"), ("MY_APP_X", "1"), ("APP_EMPTY", "")]),
            None
        );
        let kubernetes = [("APP_SERVICE_HOST", "10.0.0.1"), ("APP_PORT", "tcp://10.0.0.1:80"), ("APP_MAXITEMS", "3")];
        assert_eq!(told(&kubernetes).as_deref(), Some("APP_MAXITEMS, APP_PORT, APP_SERVICE_HOST"));
        let names: Vec<String> = (10..99).map(|n| format!("APP_{n}\u{1b}{}", "y".repeat(100_000))).collect();
        let many = told(&names.iter().map(|name| (name.as_str(), "1")).collect::<Vec<_>>()).unwrap();
        assert!(many.starts_with(r"APP_10\u{1b}y") && many.ends_with(" and 81 more") && many.len() < 1000, "{many}");
    }

    #[test]
    fn the_help_names_every_setting() {
        for setting in SETTINGS {
            assert!(help().contains(setting.name));
        }
    }
}
