//! For which cluster it is made, and by what labels it is known there.

use std::fmt;
use std::str::FromStr;

use crate::monitoring::addresses::ExternalUrl;
use crate::monitoring::remote_write::RemoteWrite;

/// The label of pods that says which component they are, and the one that says that they are of this stack.
pub(super) const COMPONENT: &str = "app.kubernetes.io/name";
pub(super) const STACK: &str = "app.kubernetes.io/part-of";

/// Where everything is unless somebody says otherwise.
pub const NAMESPACE: &str = "aiclipx";

/// The longest name that a namespace may have.
const LONGEST: usize = 63;

/// A cluster, as far as it differs from another's.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Where the service runs: an operator's rules hold there alone.
    pub namespace: Namespace,
    /// Where links of an operator's alerts lead; without it they have none.
    pub external: Option<ExternalUrl>,
    /// Where Prometheus also writes its samples.
    pub remote_write: Option<RemoteWrite>,
}

/// The name of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(String);

impl Default for Namespace {
    fn default() -> Namespace {
        Namespace(NAMESPACE.to_owned())
    }
}

impl FromStr for Namespace {
    type Err = String;

    /// As Kubernetes takes it, RFC 1123's label.
    fn from_str(text: &str) -> Result<Namespace, String> {
        let is_inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty()
            || text.len() > LONGEST
            || !text.chars().all(is_inside)
            || text.starts_with('-')
            || text.ends_with('-')
        {
            return Err(format!(
                "`{text}` is no namespace: a to z, 0 to 9 and -, no - at an end, at most {LONGEST} of them"
            ));
        }
        Ok(Namespace(text.to_owned()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Namespace {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_one_that_kubernetes_takes() {
        assert_eq!("shop-1".parse(), Ok(Namespace("shop-1".to_owned())));
        for text in ["", "Shop", "-a", "a-", "a.b", "a\"b", &"a".repeat(64)] {
            assert!(text.parse::<Namespace>().is_err(), "{text}");
        }
    }
}
