//! Durations in the words of annotations, which no speed divides.

/// Finds a duration in prose: `5m`, `10 minutes`, `five consecutive minutes`. What templates print is not prose.
pub(super) fn duration_in_words(text: &str) -> Option<String> {
    const UNITS: [&str; 9] = ["millisecond", "second", "minute", "hour", "day", "week", "month", "year", "min"];
    const NUMBERS: [&str; 16] = [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "fifteen", "twenty",
        "thirty", "sixty", "half", "several",
    ];
    let prose = without_templates(text);
    let words: Vec<String> = prose
        .split(|c: char| !(c.is_alphanumeric() || c == '.'))
        .map(|word| word.trim_matches('.').to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    for (at, word) in words.iter().enumerate() {
        // `5m`, `1.5h`; `p95` and `5xx` are none.
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if digits.parse::<f64>().is_ok() && ["ms", "s", "m", "h", "d", "w", "y"].contains(&&word[digits.len()..]) {
            return Some(word.clone());
        }
        let is_unit = UNITS.contains(&word.as_str()) || word.strip_suffix('s').is_some_and(|one| UNITS.contains(&one));
        let before = &words[at.saturating_sub(2)..at];
        let is_number = |word: &String| word.parse::<f64>().is_ok() || NUMBERS.contains(&word.as_str());
        if is_unit && let Some(number) = before.iter().position(is_number) {
            return Some([&before[number..], std::slice::from_ref(word)].concat().join(" "));
        }
    }
    None
}

fn without_templates(text: &str) -> String {
    let mut prose = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        prose.push_str(before);
        prose.push_str(" … ");
        rest = after.split_once("}}").map_or("", |(_, tail)| tail);
    }
    prose + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_prose_are_found() {
        for text in
            ["for 10 minutes", "for five consecutive minutes", "over 5m.", "in the last half hour", "1.5h", "30 min"]
        {
            assert!(duration_in_words(text).is_some(), "{text}");
        }
    }

    #[test]
    fn rates_templates_and_names_are_no_durations() {
        for text in [
            "{{ $value | humanizeDuration }} at p95",
            "{{ $value }} times a second",
            "a 5xx status",
            "3 requests a second",
            "The 95th percentile",
            "items/{id} on h2, e.g. 5 of 10",
        ] {
            assert_eq!(duration_in_words(text), None, "{text}");
        }
    }
}
