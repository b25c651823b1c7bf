//! Where the database is, as `APP_DATABASE_URL` says it: read part by part, so that a wrong one is named.
//!
//! A URL holds a password. So nothing of it is ever repeated: an error names the part and what it takes, and what is shown for
//! debugging leaves the password out.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// What a whole URL looks like.
pub(super) const SHAPE: &str = "postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=MODE";

/// The port of PostgreSQL where none is said.
const PORT: u16 = 5432;

/// A database, and how to come to it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    /// A name or an address; a path is the folder of a Unix socket.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<String>,
    /// A file as `.pgpass` is one, where the password is not in the URL.
    pub passfile: Option<PathBuf>,
    /// The database's name.
    pub name: String,
    pub tls: TlsMode,
    /// Whom the server's certificate has to come from, as PEM.
    pub root: Option<PathBuf>,
}

/// `sslmode`, as PostgreSQL's own programs have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    /// Encrypted where the server can, which an attacker on the way decides.
    Prefer,
    /// Encrypted, whoever the server is; with `sslrootcert` as [`TlsMode::VerifyCa`].
    Require,
    /// The certificate comes from `sslrootcert`.
    VerifyCa,
    /// And it is this host's.
    VerifyFull,
}

/// The password is nobody's to read.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DatabaseUrl { host, port, user, password, passfile, name, tls, root } = self;
        let password = password.as_ref().map(|_| "…");
        f.debug_struct("DatabaseUrl")
            .field("host", host)
            .field("port", port)
            .field("user", user)
            .field("password", &password)
            .field("passfile", passfile)
            .field("name", name)
            .field("tls", tls)
            .field("root", root)
            .finish()
    }
}

impl DatabaseUrl {
    /// Reads a URL, or says which part of it is wrong and what that takes.
    pub fn parse(text: &str) -> Result<DatabaseUrl, String> {
        let rest = ["postgres://", "postgresql://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or("its scheme is not postgres://")?;
        if rest.contains('#') {
            return Err(
                "it holds a # that is not percent-encoded (%23): what stands behind one is sent to nobody".to_owned()
            );
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = authority.rsplit_once('@').ok_or(
            "it names no user, or something special in the user or the password (one of / ? # @ :) is not percent-encoded",
        )?;
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (user, None),
        };
        if password.is_some_and(|password| password.contains([':', '@'])) || user.contains('@') {
            return Err("its password holds a : or @ that is not percent-encoded (%3A, %40)".to_owned());
        }
        let (host, port) = place_of(place)?;
        let mut url = DatabaseUrl {
            host,
            port,
            user: decoded("user", user)?,
            password: password.map(|password| decoded("password", password)).transpose()?.filter(|one| !one.is_empty()),
            passfile: None,
            name: name_of(name)?,
            tls: TlsMode::Prefer,
            root: None,
        };
        let mut taken = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let key = url.take(parameter)?;
            if taken.contains(&key) {
                return Err(format!("it has {key} twice, and only one can hold"));
            }
            taken.push(key);
        }
        url.checked()
    }

    /// Takes a parameter, and returns its name.
    fn take(&mut self, parameter: &str) -> Result<&'static str, String> {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        Ok(match key {
            "sslmode" => {
                self.tls = match value {
                    "disable" => TlsMode::Disable,
                    "prefer" => TlsMode::Prefer,
                    "require" => TlsMode::Require,
                    "verify-ca" => TlsMode::VerifyCa,
                    "verify-full" => TlsMode::VerifyFull,
                    _ => {
                        return Err("its sslmode takes disable, prefer, require, verify-ca or verify-full".to_owned());
                    }
                };
                "sslmode"
            }
            "sslrootcert" => {
                self.root = Some(decoded("sslrootcert", value)?.into());
                "sslrootcert"
            }
            "passfile" => {
                self.passfile = Some(decoded("passfile", value)?.into());
                "passfile"
            }
            "host" => {
                self.host = decoded("host", value)?;
                "host"
            }
            _ => {
                return Err("it has a parameter that means nothing here: behind the ? it takes sslmode, sslrootcert, \
                            passfile and host"
                    .to_owned());
            }
        })
    }

    /// What the parts have to be together.
    fn checked(mut self) -> Result<DatabaseUrl, String> {
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte));
        if self.host.is_empty() || (!self.host.starts_with('/') && !is_name(&self.host)) {
            return Err(
                "its host is no name, no address and no folder of a Unix socket (%2Frun%2Fpostgresql)".to_owned()
            );
        }
        if self.user.is_empty() {
            return Err("its user is missing".to_owned());
        }
        if self.name.is_empty() {
            return Err("its database's name is missing: it comes after the host, behind a /".to_owned());
        }
        let path = [&self.root, &self.passfile].into_iter().flatten();
        if path.map(|path| path.as_os_str()).any(std::ffi::OsStr::is_empty) {
            return Err("its sslrootcert or passfile is no path of a file".to_owned());
        }
        if self.password.is_some() && self.passfile.is_some() {
            return Err("it has a password and a passfile, and only one can hold: take one away".to_owned());
        }
        if self.tls == TlsMode::Require && self.root.is_some() {
            self.tls = TlsMode::VerifyCa;
        }
        if matches!(self.tls, TlsMode::VerifyCa | TlsMode::VerifyFull) && self.root.is_none() {
            return Err("its sslmode verifies, and no sslrootcert=FILE says whom to trust".to_owned());
        }
        Ok(self)
    }
}

/// `HOST:PORT`, `HOST`, `[::1]:PORT`.
fn place_of(place: &str) -> Result<(String, u16), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("its host has a [ without a ]")?;
            let port = if port.is_empty() { None } else { port.strip_prefix(':').or(Some("?")) };
            (host.to_owned(), port)
        }
        None => match place.split_once(':') {
            Some((host, port)) => (decoded("host", host)?, Some(port)),
            None => (decoded("host", place)?, None),
        },
    };
    let port = port.map_or(Ok(PORT), |port| port.parse().ok().filter(|port| *port != 0).ok_or(()));
    Ok((host, port.map_err(|()| "its port is no number from 1 to 65535")?))
}

/// The database's name, of what stands behind the host.
fn name_of(path: &str) -> Result<String, String> {
    if path.contains('/') {
        return Err("its database's name holds a / that is not percent-encoded (%2F)".to_owned());
    }
    decoded("database's name", path)
}

/// Without percent-encoding.
fn decoded(part: &str, text: &str) -> Result<String, String> {
    let wrong = || format!("its {part} has a % without two hexadecimal digits behind it, or is no UTF-8");
    let is_byte = |rest: &str| rest.len() > 1 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_byte) {
        return Err(wrong());
    }
    let text = percent_decode_str(text).decode_utf8().map_err(|_| wrong())?.into_owned();
    if text.contains('\0') { Err(format!("its {part} holds a NUL")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read_and_decoded() {
        let url = DatabaseUrl::parse("postgresql://me%40x:p%2Fw%3A@db.example:6432/it%20ems?sslmode=require").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("db.example", 6432));
        assert_eq!((url.user.as_str(), url.password.as_deref()), ("me@x", Some("p/w:")));
        assert_eq!((url.name.as_str(), url.tls), ("it ems", TlsMode::Require));
        let url = DatabaseUrl::parse("postgres://me@[::1]/items?passfile=/run/pass").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.password.as_deref()), ("::1", 5432, None));
        assert_eq!((url.tls, url.passfile), (TlsMode::Prefer, Some("/run/pass".into())));
        for socket in ["postgres://me@%2Frun%2Fpg:5433/items", "postgres://me@x:5433/items?host=/run/pg"] {
            let url = DatabaseUrl::parse(socket).unwrap();
            assert_eq!((url.host.as_str(), url.port), ("/run/pg", 5433), "{socket}");
        }
        // As PostgreSQL's own programs take it.
        let url = DatabaseUrl::parse("postgres://me@h/n?sslmode=require&sslrootcert=/ca.pem").unwrap();
        assert_eq!((url.tls, url.root), (TlsMode::VerifyCa, Some("/ca.pem".into())));
    }

    #[test]
    fn a_wrong_part_is_named_and_nothing_of_the_url_is_repeated() {
        for (url, part) in [
            ("mysql://SECRET:SECRET@h/n", "scheme"),
            ("h/n", "scheme"),
            ("postgres://h/n", "user"),
            ("postgres://:SECRET@h/n", "user"),
            ("postgres://u:SEC/RET@h/n", "user or the password"),
            ("postgres://u:SEC?RET@h/n", "user or the password"),
            ("postgres://u:SEC@RET@h/n", "password"),
            ("postgres://u:SEC:RET@h/n", "password"),
            ("postgres://u:SECRET%4@h/n", "password"),
            ("postgres://u:SECRET%00@h/n", "password"),
            ("postgres://u%zz:SECRET@h/n", "user"),
            ("postgres://u:SECRET@/n", "host"),
            ("postgres://u:SECRET@h ost/n", "host"),
            ("postgres://u:SECRET@h#RET/n", "#"),
            ("postgres://u:SEC#RET@h/n", "#"),
            ("postgres://u:SECRET@h/n#RET", "#"),
            ("postgres://u:SECRET@h/n/SECRET", "name"),
            ("postgres://u:SECRET@h/n?sslmode=disable&sslmode=require", "sslmode twice"),
            ("postgres://u@h/n?passfile=/a&passfile=/a", "passfile twice"),
            ("postgres://u:SECRET@h/n?passfile=/a", "password and a passfile"),
            ("postgres://u:SECRET@[::1/n", "host"),
            ("postgres://u:SECRET@h:0/n", "port"),
            ("postgres://u:SECRET@h:65536/n", "port"),
            ("postgres://u:SECRET@h:/n", "port"),
            ("postgres://u:SECRET@[::1]5432/n", "port"),
            ("postgres://u:SECRET@h", "name"),
            ("postgres://u:SECRET@h/", "name"),
            ("postgres://u:SECRET@h/%ff", "name"),
            ("postgres://u:SECRET@h/n?sslmode=SECRET", "sslmode"),
            ("postgres://u:SECRET@h/n?sslmode=verify-full", "sslrootcert"),
            ("postgres://u:SECRET@h/n?sslrootcert=", "sslrootcert"),
            ("postgres://u:SECRET@h/n?SECRET=1", "parameter"),
        ] {
            let error = DatabaseUrl::parse(url).unwrap_err();
            assert!(error.contains(part), "{url}: {error}");
            assert!(!error.contains("SEC") && !error.contains("RET"), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_is_not_shown_for_debugging() {
        let url = DatabaseUrl::parse("postgres://me:SECRET@h/n").unwrap();
        let shown = format!("{url:?} {url:#?}");
        assert!(shown.contains("me") && !shown.contains("SECRET"), "{shown}");
    }
}
