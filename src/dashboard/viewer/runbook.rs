//! A runbook as a page: the few forms of Markdown that ours have. What is none of them is shown as it was written.

use maud::{Markup, html};

/// Draws a runbook's text.
pub(super) fn drawn(text: &str) -> Markup {
    let mut lines = text.lines().peekable();
    html! {
        @while let Some(line) = lines.next() {
            @if let Some(title) = line.strip_prefix("# ") {
                h1 { (title) }
            } @else if line.starts_with("```") {
                pre {
                    @for line in lines.by_ref().take_while(|line| !line.starts_with("```")) { (line) "\n" }
                }
            } @else if is_item(line).is_some() || line.starts_with('|') {
                // Each with what is written under it.
                ul {
                    li { (words(is_item(line).unwrap_or(line))) }
                    @while let Some(next) = lines.next_if(|next| is_item(next).is_some() || next.starts_with('|')) {
                        li { (words(is_item(next).unwrap_or(next))) }
                    }
                }
            } @else if !line.trim().is_empty() {
                p { (words(line.trim_start_matches('#').trim_start())) }
            }
        }
    }
}

/// What an item of a list says, a numbered one with its number.
fn is_item(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let number = line.find(|c: char| !c.is_ascii_digit()).unwrap_or_default();
    if number > 0 && line[number..].starts_with(". ") { Some(line) } else { line.strip_prefix("- ") }
}

/// A line's words: `code`, **weight**, [links](to.md).
fn words(mut rest: &str) -> Markup {
    let mut parts: Vec<Markup> = Vec::new();
    let mut plain = String::new();
    while let Some(first) = rest.chars().next() {
        let special = if let Some((code, after)) = between(rest, "`", "`") {
            Some((html! { code { (code) } }, after))
        } else if let Some((strong, after)) = between(rest, "**", "**") {
            Some((html! { strong { (words(strong)) } }, after))
        } else {
            link(rest)
        };
        if let Some((markup, after)) = special {
            let before = std::mem::take(&mut plain);
            parts.extend([html! { (before) }, markup]);
            rest = after;
        } else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    html! { @for part in &parts { (part) } (plain) }
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(open)?.split_once(close).filter(|(inside, _)| !inside.is_empty())
}

/// A link to another page beside this one, or to the web; where it leads elsewhere there is nothing here.
fn link(text: &str) -> Option<(Markup, &str)> {
    let (title, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (to, after) = rest.split_once(')')?;
    let is_page = |to: &str| to.strip_suffix(".md").is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric()));
    let leads = is_page(to) || to.starts_with("https://") || to.starts_with("http://");
    Some((html! { @if leads { a href=(to) { (title) } } @else { (title) } }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_forms_of_a_runbook_and_nothing_that_runs() {
        let text = "# AppDown\n\n**Meaning.** A `<b>` of *it*, see [AppSlow](AppSlow.md).\n\n```promql\nup{a=\"<\"}\n```\n\n\
                    1. First.\n2. [Off](javascript:x)\n- last ** open\n";
        let drawn = drawn(text).into_string();
        assert_eq!(
            drawn,
            "<h1>AppDown</h1><p><strong>Meaning.</strong> A <code>&lt;b&gt;</code> of *it*, see \
             <a href=\"AppSlow.md\">AppSlow</a>.</p><pre>up{a=&quot;&lt;&quot;}\n</pre>\
             <ul><li>1. First.</li><li>2. Off</li><li>last ** open</li></ul>"
        );
    }
}
