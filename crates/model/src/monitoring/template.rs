//! The templates of labels and annotations, as Go's text/template reads them before it fills them in: what it refuses, Prometheus
//! refuses a whole rule file for.

/// What the oldest Prometheus that is promised, 2.42, gives its templates, and what Go gives all of them.
const FUNCTIONS: [&str; 44] = [
    "and",
    "args",
    "call",
    "eq",
    "externalURL",
    "first",
    "ge",
    "graphLink",
    "gt",
    "html",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "index",
    "js",
    "label",
    "le",
    "len",
    "lt",
    "match",
    "ne",
    "not",
    "or",
    "parseDuration",
    "pathPrefix",
    "print",
    "printf",
    "println",
    "query",
    "reReplaceAll",
    "safeHtml",
    "slice",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toLower",
    "toTime",
    "toUpper",
    "urlquery",
];
/// That one more is only known where pages are made of templates.
const VALUE: &str = "value";
/// What Prometheus defines before the text begins.
const VARIABLES: [&str; 5] = ["$", "$labels", "$externalLabels", "$externalURL", "$value"];

/// A part of an action.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    /// A text, a number, `true`, `nil`: nothing that could be called.
    Constant,
    /// `$labels`, with the fields behind it.
    Variable(&'a str),
    /// `.` and `.Labels.job`.
    Field,
    /// A function or a keyword.
    Word(&'a str),
    Sign(char),
}

/// Whether a template asks Prometheus by itself; the error says why it is none.
pub(super) fn check(text: &str) -> Result<bool, String> {
    let mut rest = text;
    let mut asks = false;
    // Blocks that are open, each with whether its `else` has been.
    let mut open: Vec<(&str, bool)> = Vec::new();
    let mut variables: Vec<&str> = VARIABLES.to_vec();
    while let Some((_, action)) = rest.split_once("{{") {
        let (tokens, after) = tokens(action)?;
        rest = after;
        let [first, arguments @ ..] = &tokens[..] else {
            if action.trim_start_matches(['-', ' ']).starts_with("/*") {
                continue;
            }
            return Err("an action that says nothing, `{{}}`".to_owned());
        };
        let mut command = &tokens[..];
        match first {
            Token::Word(block @ ("if" | "range" | "with")) => {
                open.push((block, false));
                command = arguments;
            }
            Token::Word("else") => {
                let Some((block, has_else)) = open.last_mut() else { return Err("`else` of nothing".to_owned()) };
                match arguments {
                    [] if !*has_else => *has_else = true,
                    [Token::Word("if"), condition @ ..] if !*has_else && *block == "if" => {
                        pipeline(condition, &mut variables)?;
                    }
                    _ => return Err("an `else` too many".to_owned()),
                }
                continue;
            }
            Token::Word("end") => {
                if open.pop().is_none() || !arguments.is_empty() {
                    return Err("`end` of nothing".to_owned());
                }
                continue;
            }
            Token::Word("break" | "continue") if open.iter().any(|(block, _)| *block == "range") => continue,
            Token::Word(word @ ("define" | "template" | "block" | "break" | "continue")) => {
                return Err(format!("`{word}` has no place in a rule"));
            }
            _ => {}
        }
        pipeline(command, &mut variables)?;
        asks |= tokens.contains(&Token::Word("query"));
    }
    match open.pop() {
        Some((block, _)) => Err(format!("`{block}` has no `end`")),
        None => Ok(asks),
    }
}

/// One pipeline: something at each of its stages, and behind the first something that can be called.
fn pipeline<'a>(tokens: &[Token<'a>], variables: &mut Vec<&'a str>) -> Result<(), String> {
    // `$x := …`, `$i, $x := …`, `$x = …`
    let mut tokens = tokens;
    if let Some(at) = tokens.iter().position(|token| matches!(token, Token::Sign(':' | '='))) {
        for token in &tokens[..at] {
            match token {
                Token::Variable(name) if !name.contains('.') => variables.push(name),
                Token::Sign(',') => {}
                _ => return Err("what is assigned to is no variable".to_owned()),
            }
        }
        tokens = match &tokens[at..] {
            [Token::Sign(':'), Token::Sign('='), value @ ..] | [Token::Sign('='), value @ ..] => value,
            _ => return Err("`:` without `=`".to_owned()),
        };
    }
    let mut depth = 0_usize;
    let mut before = None;
    for (at, token) in tokens.iter().enumerate() {
        let begins = matches!(before, None | Some(Token::Sign('(' | '|')));
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => {
                depth = depth.checked_sub(1).ok_or("a `)` too many")?;
                if begins {
                    return Err("a stage that says nothing".to_owned());
                }
            }
            Token::Sign('|') if begins => return Err("a stage that says nothing before `|`".to_owned()),
            Token::Sign('|') => {
                if matches!(tokens.get(at + 1), Some(Token::Constant)) {
                    return Err("nothing that could be called behind `|`".to_owned());
                }
            }
            Token::Sign(sign) => return Err(format!("`{sign}` has no place there")),
            Token::Variable(name) => {
                let name = name.split('.').next().unwrap_or_default();
                if !variables.contains(&name) {
                    return Err(format!("there is no variable {name}"));
                }
            }
            Token::Word(word) if *word == VALUE || FUNCTIONS.contains(word) => {}
            Token::Word(word) => return Err(format!("there is no function `{word}`")),
            Token::Constant | Token::Field => {}
        }
        before = Some(*token);
    }
    // Go lets a `|` behind which nothing is be.
    if depth > 0 || matches!(before, None | Some(Token::Sign('('))) {
        return Err("a stage that says nothing".to_owned());
    }
    Ok(())
}

/// The tokens up to the `}}` that ends the action, and what follows it.
fn tokens(action: &str) -> Result<(Vec<Token<'_>>, &str), String> {
    const UNCLOSED: &str = "`{{` without `}}`";
    let mut rest = action.strip_prefix("- ").unwrap_or(action);
    if rest.trim_start().starts_with("/*") {
        let (_, after) = rest.split_once("*/").ok_or("a comment without its end")?;
        let after = after.strip_prefix(" -").unwrap_or(after);
        return Ok((Vec::new(), after.strip_prefix("}}").ok_or("a comment that is not alone")?));
    }
    let mut tokens = Vec::new();
    let length = |text: &str, of: fn(char) -> bool| text.find(|c| !of(c)).unwrap_or(text.len());
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    loop {
        if let Some(after) = rest.strip_prefix("}}").or_else(|| rest.strip_prefix(" -}}")) {
            return Ok((tokens, after));
        }
        let first = rest.chars().next().ok_or(UNCLOSED)?;
        let (found, taken) = match first {
            c if c.is_whitespace() => (None, c.len_utf8()),
            '"' | '\'' | '`' => {
                let mut escaped = false;
                let end = rest.char_indices().skip(1).find(|(_, c)| {
                    let ends = *c == first && !escaped;
                    escaped = *c == '\\' && first != '`' && !escaped;
                    ends || (*c == '\n' && first != '`')
                });
                match end {
                    Some((end, c)) if c == first => (Some(Token::Constant), end + 1),
                    _ => return Err("a text without its end".to_owned()),
                }
            }
            '$' => {
                let taken = 1 + length(&rest[1..], |c| c.is_alphanumeric() || c == '_' || c == '.');
                (Some(Token::Variable(&rest[..taken])), taken)
            }
            '0'..='9' | '+' | '-' => {
                let taken = 1 + length(&rest[1..], |c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
                if rest[..taken].trim_start_matches(['+', '-']).parse::<f64>().is_err() && !rest[..taken].contains('x')
                {
                    return Err(format!("`{}` is no number", &rest[..taken]));
                }
                (Some(Token::Constant), taken)
            }
            '.' => (Some(Token::Field), 1 + length(&rest[1..], |c| c.is_alphanumeric() || c == '_' || c == '.')),
            c if in_word(c) => {
                let taken = length(rest, |c| c.is_alphanumeric() || c == '_');
                let word = &rest[..taken];
                let is_constant = ["true", "false", "nil"].contains(&word);
                (Some(if is_constant { Token::Constant } else { Token::Word(word) }), taken)
            }
            '|' | '(' | ')' | ',' | ':' | '=' => (Some(Token::Sign(first)), 1),
            other => return Err(format!("`{other}` has no place in an action")),
        };
        tokens.extend(found);
        rest = &rest[taken..];
    }
}

#[cfg(test)]
mod tests;
