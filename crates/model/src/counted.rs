//! Numbers of things in words. Of nouns whose plural ends with one more `s`.

/// `1 alert`, `0 alerts`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `20 of 23 claims hold`, `1 of 1 claim holds`: the verb of one, and of several.
pub fn share(part: usize, all: usize, noun: &str, [one, several]: [&str; 2]) -> String {
    format!("{part} of {} {}", counted(all, noun), if part == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "alert")), ["0 alerts", "1 alert", "2 alerts"]);
        let held = |part, all| share(part, all, "claim", ["holds", "hold"]);
        assert_eq!(
            [held(0, 1), held(1, 1), held(1, 2)],
            ["0 of 1 claim hold", "1 of 1 claim holds", "1 of 2 claims holds"]
        );
    }
}
