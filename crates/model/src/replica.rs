//! How many replicas of the service there are, and what they are called: `app` where there is one; `app-1`, `app-2`, … where there are several.
//!
//! `app` alone means all of them, wherever a name is asked for: in scenarios, `logs`, `stop`, `start`, `restart`.

use std::fmt;
use std::str::FromStr;

/// Each takes up to some 60 MB, three sockets and a log of 100 MB: as many as a laptop carries.
const MOST: u8 = 16;

/// How many processes of the service there are: 1 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas(u8);

impl Replicas {
    pub const ONE: Replicas = Replicas(1);

    pub fn count(self) -> usize {
        usize::from(self.0)
    }
}

impl FromStr for Replicas {
    type Err = String;

    fn from_str(text: &str) -> Result<Replicas, String> {
        let count = text.parse().ok().filter(|count| (1..=MOST).contains(count));
        count.map(Replicas).ok_or_else(|| format!("`{text}` is no number of replicas: there can be 1 to {MOST}"))
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one of so many, counted from 0.
pub fn name(component: &str, index: usize, of: usize) -> String {
    if of > 1 { format!("{component}-{}", index + 1) } else { component.to_owned() }
}

/// Whether a process is the one of this name, or a replica of the component of this name.
pub fn is_of(process: &str, name: &str) -> bool {
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    match process.strip_prefix(name) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('-').is_some_and(is_number),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_sixteen_and_nothing_else() {
        for text in ["0", "17", "256", "-1", "two", ""] {
            assert!(text.parse::<Replicas>().is_err(), "{text}");
        }
        assert_eq!(["1", "16"].map(|text| text.parse::<Replicas>().unwrap().to_string()), ["1", "16"]);
    }

    #[test]
    fn a_component_is_all_its_replicas_and_each_of_them_itself_alone() {
        assert_eq!([name("app", 0, 1), name("app", 0, 3), name("app", 2, 3)], ["app", "app-1", "app-3"]);
        assert!(is_of("app-2", "app") && is_of("app", "app") && is_of("app-2", "app-2"));
        for (process, other) in [
            ("app-2", "app-1"),
            ("app-12", "app-1"),
            ("app", "app-1"),
            ("app-front", "app"),
            ("apple", "app"),
            ("app-", "app"),
        ] {
            assert!(!is_of(process, other), "{process} is no {other}");
        }
    }
}
