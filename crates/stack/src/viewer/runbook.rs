//! A runbook as a page. Markdown is read by pulldown-cmark, as rustdoc's is; HTML in a page is shown as text, and a link that
//! leads neither to a page beside this one nor to the web is its words alone.

use maud::{Markup, PreEscaped};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

/// Draws a runbook's text.
pub(super) fn drawn(text: &str) -> Markup {
    // Of each link that is open: whether it is one here.
    let mut open = Vec::new();
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::Link { ref dest_url, .. }) => {
            open.push(leads_somewhere(dest_url));
            (open.last() == Some(&true)).then_some(event)
        }
        Event::End(TagEnd::Link) => (open.pop() == Some(true)).then_some(event),
        // Nothing is asked for from elsewhere.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        other => Some(other),
    });
    let mut page = String::new();
    html::push_html(&mut page, events);
    PreEscaped(page)
}

fn leads_somewhere(to: &str) -> bool {
    let is_page = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
    to.strip_suffix(".md").is_some_and(is_page) || to.starts_with("https://") || to.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_forms_of_a_runbook_and_nothing_that_runs() {
        for (text, expected) in [
            (
                "**Meaning.** A `<b>` of *it*.",
                "<p><strong>Meaning.</strong> A <code>&lt;b&gt;</code> of <em>it</em>.</p>\n",
            ),
            ("See [AppSlow](AppSlow.md).", "<p>See <a href=\"AppSlow.md\">AppSlow</a>.</p>\n"),
            ("[Off](javascript:x) [up](../README.md)", "<p>Off up</p>\n"),
            ("![a picture](http://elsewhere/x.png)", "<p>a picture</p>\n"),
            ("A <script>alert(1)</script> b", "<p>A &lt;script&gt;alert(1)&lt;/script&gt; b</p>\n"),
            ("<div onclick=x>\n", "&lt;div onclick=x&gt;\n"),
            ("1. First.\n2. Second.\n", "<ol>\n<li>First.</li>\n<li>Second.</li>\n</ol>\n"),
            ("```promql\nup{a=\"<\"}\n```\n", "<pre><code class=\"language-promql\">up{a=\"&lt;\"}\n</code></pre>\n"),
        ] {
            assert_eq!(drawn(text).into_string(), expected, "{text}");
        }
        let table = drawn("| alert | windows |\n|---|---|\n| A | 1h |\n").into_string();
        assert!(table.starts_with("<table>") && table.contains("<td>1h</td>") && !table.contains('|'), "{table}");
    }
}
