//! Where something listens: a host and a port.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A host and a port: `127.0.0.1:9090`, `[::1]:9090`, `app:8080`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// A name or an IP address, an IPv6 one without its brackets.
    pub host: String,
    /// 1…65535.
    pub port: u16,
}

impl Address {
    /// An address on this machine's loopback interface.
    pub fn loopback(port: u16) -> Address {
        Address { host: "127.0.0.1".to_owned(), port }
    }

    /// The `http://` URL of a path (which begins with a slash) at this address.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("http://{self}{path_and_query}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Reads `host:port`, also with `http://` before it and a slash behind it, as people paste it.
impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let error = || format!("`{text}` is not an address; write it like 127.0.0.1:9090");
        let bare = text.strip_prefix("http://").unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let (host, port) = bare.rsplit_once(':').ok_or_else(error)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(error)?;
        if host.is_empty() || host.contains(['/', '@', ' ', '[', ']']) {
            return Err(error());
        }
        Ok(Address { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

/// Where somebody's service is called: an address, and what every path begins with there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    pub address: Address,
    /// Empty, or `/like/this`.
    pub base: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.address, self.base)
    }
}

/// Reads `http://host:port/path`, also without a scheme or a path; a host without a port is at 80.
impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        if text.starts_with("https://") {
            return Err(format!(
                "`{text}` wants TLS, which is not spoken here; put what ends TLS out of the way: http://HOST:PORT"
            ));
        }
        let error = || format!("`{text}` is not where a service is called; write it like http://127.0.0.1:8080/base");
        let without_scheme = text.strip_prefix("http://").unwrap_or(text);
        let (authority, base) =
            without_scheme.find('/').map_or((without_scheme, ""), |slash| without_scheme.split_at(slash));
        let base = base.trim_end_matches('/');
        if base.contains(['?', '#', ' ', '{', '}']) || base.contains("//") {
            return Err(error());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let authority = if has_port || authority.is_empty() { authority.to_owned() } else { format!("{authority}:80") };
        let address = authority.parse().map_err(|_| error())?;
        Ok(Target { address, base: base.to_owned() })
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Target, String> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_base_and_no_tls() {
        for (text, printed) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://shop.test/api/v1/", "http://shop.test:80/api/v1"),
            ("http://[::1]/api", "http://[::1]:80/api"),
            ("http://[::1]:81", "http://[::1]:81"),
        ] {
            assert_eq!(text.parse::<Target>().map(|target| target.to_string()), Ok(printed.to_owned()), "{text}");
        }
        for text in
            ["", "http://", "/api", "http://a:0/", "http://a:80/x?y", "http://a:80//x", "http://u@a:80", "ftp://a:80"]
        {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert!("https://a/".parse::<Target>().is_err_and(|why| why.contains("TLS")));
    }

    #[test]
    fn addresses_read_as_people_paste_them() {
        for (text, printed) in [
            ("127.0.0.1:9090", "127.0.0.1:9090"),
            ("http://localhost:9090/", "localhost:9090"),
            ("[::1]:80", "[::1]:80"),
            ("app:8080", "app:8080"),
        ] {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(printed.to_owned()), "{text}");
        }
        for text in ["", "localhost", ":80", "a:0", "a:99999", "https://a:80", "http://a:80/x", "u@h:80"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
