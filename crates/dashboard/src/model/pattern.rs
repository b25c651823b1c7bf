//! The few regular expressions an override's `byRegexp` needs. What is beyond them is refused, never guessed.

/// Whether a pattern occurs in a text: alternatives with `|`, `^`, `$`, `.` and `.*`, an outer pair of slashes or
/// parentheses; everything else for itself. None when the pattern holds more than that.
pub fn pattern_matches(pattern: &str, text: &str) -> Option<bool> {
    let bare = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).unwrap_or(pattern);
    let bare = match bare.strip_prefix("^(").and_then(|rest| rest.strip_suffix(")$")) {
        Some(inner) => inner.split('|').map(|part| format!("^{part}$")).collect::<Vec<_>>().join("|"),
        None => bare.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(bare).to_owned(),
    };
    let mut any = false;
    for part in bare.split('|') {
        let start = part.strip_prefix('^');
        let end = start.unwrap_or(part).strip_suffix('$').filter(|rest| !rest.ends_with('\\'));
        let body: Vec<char> = end.or(start).unwrap_or(part).chars().collect();
        let tokens = tokens(&body)?;
        let text: Vec<char> = text.chars().collect();
        any |= (0..=text.len())
            .take(if start.is_some() { 1 } else { text.len() + 1 })
            .any(|from| occurs(&tokens, &text[from..], end.is_some()));
    }
    Some(any)
}

enum Token {
    Exactly(char),
    Any,
    Anything,
}

fn tokens(pattern: &[char]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        match first {
            '.' if rest.first() == Some(&'*') => {
                rest = &rest[1..];
                tokens.push(Token::Anything);
            }
            '.' => tokens.push(Token::Any),
            '\\' => {
                let (escaped, others) = rest.split_first().filter(|(next, _)| !next.is_alphanumeric())?;
                rest = others;
                tokens.push(Token::Exactly(*escaped));
            }
            '*' | '+' | '?' | '[' | ']' | '(' | ')' | '{' | '}' | '^' | '$' => return None,
            other => tokens.push(Token::Exactly(*other)),
        }
    }
    // A name is matched by trying: many wildcards would try for long.
    let wildcards = tokens.iter().filter(|token| matches!(token, Token::Anything)).count();
    (wildcards <= 4 && tokens.len() <= 1000).then_some(tokens)
}

fn occurs(tokens: &[Token], text: &[char], to_the_end: bool) -> bool {
    match tokens.split_first() {
        None => !to_the_end || text.is_empty(),
        Some((Token::Anything, rest)) => (0..=text.len()).any(|skip| occurs(rest, &text[skip..], to_the_end)),
        Some((Token::Any, rest)) => !text.is_empty() && occurs(rest, &text[1..], to_the_end),
        Some((Token::Exactly(wanted), rest)) => text.first() == Some(wanted) && occurs(rest, &text[1..], to_the_end),
    }
}
