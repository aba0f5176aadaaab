//! The pages as HTML. build.rs does it, so that a parser of Markdown and its tables are not in the program.

use std::collections::BTreeSet;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

/// A page's Markdown as HTML that is well-formed XML too.
pub(crate) fn from_markdown(markdown: &str) -> String {
    let raw = |text: String| Event::Html(CowStr::from(text));
    let (mut events, mut heading, mut anchors) = (Vec::new(), 0, BTreeSet::new());
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            // What is wider than the window is scrolled, by keyboard too.
            Event::Start(Tag::Table(_)) => {
                events.push(raw("<div class=\"wide\" tabindex=\"0\">".to_owned()));
                events.push(event);
            }
            Event::End(TagEnd::Table) => {
                events.push(event);
                events.push(raw("</div>\n".to_owned()));
            }
            Event::Start(Tag::CodeBlock(_)) => events.push(raw("<pre tabindex=\"0\"><code>".to_owned())),
            Event::End(TagEnd::CodeBlock) => events.push(raw("</code></pre>\n".to_owned())),
            Event::Start(Tag::Heading { .. }) => {
                heading = events.len();
                events.push(event);
            }
            Event::End(TagEnd::Heading(level)) => {
                let anchor = anchor(&events[heading + 1..], &mut anchors);
                events[heading] = raw(format!("<{level} id=\"{anchor}\">"));
                events.push(raw(format!("</{level}>\n")));
            }
            Event::Html(text) | Event::InlineHtml(text) => events.push(Event::Text(text)),
            event => events.push(event),
        }
    }
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events.into_iter());
    html
}

/// The anchor of a heading with these events: its words, and no other heading's.
fn anchor(events: &[Event<'_>], known: &mut BTreeSet<String>) -> String {
    let mut words = String::new();
    for event in events {
        if let Event::Text(text) = event {
            words += text;
        }
    }
    let words: Vec<String> = words
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let mut anchor = if words.is_empty() { "section".to_owned() } else { words.join("-") };
    while !known.insert(anchor.clone()) {
        anchor += "-more";
    }
    anchor
}
