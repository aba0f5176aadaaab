//! A card for each root: what is wrong, why that breaks things, where, what follows from it, and what to do.

use std::io::{self, Write};

use super::write_paste;
use crate::check::cause;
use crate::finding::{Outcome, Severity};
use crate::report::digest::{Group, by_family, groups};
use crate::report::document::{Document, Item};
use crate::report::markup::escaped;

/// A root, and the places where it was found.
struct Card<'d> {
    group: Group<'d>,
    places: Vec<&'d str>,
}

/// All of a document.
pub(super) struct Cards<'d> {
    cards: Vec<Card<'d>>,
    has_places: bool,
}

impl<'d> Cards<'d> {
    /// The roots in each place, each once, the worst first.
    pub(super) fn of(document: &'d Document) -> Self {
        let mut cards: Vec<Card<'_>> = Vec::new();
        for suite in &document.suites {
            for group in groups(&suite.items) {
                let is_same = |card: &&mut Card<'_>| card.group.id == group.id && card.group.title == group.title;
                match cards.iter_mut().find(is_same) {
                    Some(card) => card.places.push(&suite.name),
                    None => cards.push(Card { group, places: vec![&suite.name] }),
                }
            }
        }
        cards.sort_by_key(|card| std::cmp::Reverse(card.group.severity));
        Self { cards, has_places: document.suites.len() > 1 }
    }

    /// Writes those that are worth a note alone, or those that are more, under a heading if there are any.
    pub(super) fn write(&self, heading: &str, notes: bool, out: &mut dyn Write) -> io::Result<()> {
        let is_note = |card: &&Card<'_>| card.group.severity == Severity::Info && !card.group.failed.is_empty();
        let cards: Vec<&Card<'_>> = self.cards.iter().filter(|card| is_note(card) == notes).collect();
        if cards.is_empty() {
            return Ok(());
        }
        writeln!(out, "<h2>{heading}</h2>")?;
        cards.into_iter().try_for_each(|card| write_card(card, self.has_places, out))
    }
}

fn write_card(card: &Card<'_>, has_places: bool, out: &mut dyn Write) -> io::Result<()> {
    let Card { group, places } = card;
    let (class, root) = (group.word(), group.root());
    writeln!(
        out,
        "<article class=\"card {class}\"><h3>{class}: {}</h3>\n<p><code>{}</code>{}</p>",
        escaped(group.summary()),
        escaped(&group.id),
        if has_places { escaped(&format!(" in {}", places.join(", "))) } else { String::new() }
    )?;
    for text in group.why.iter() {
        writeln!(out, "<p>{}</p>", escaped(text))?;
    }
    let remedies = match (root, cause::find(&group.id)) {
        (Some(root), _) => root.remedy.join("\n"),
        (None, Some(cause)) => cause.remedy.to_owned(),
        (None, None) => String::new(),
    };
    if !remedies.is_empty() {
        write_paste(&remedies, out)?;
    }
    let follows: Vec<&Item> = group.follows().collect();
    if !follows.is_empty() {
        let lines: Vec<String> = follows.iter().map(|item| line(item)).collect();
        writeln!(
            out,
            "<details><summary>{} {}: {}</summary><pre tabindex=\"0\">{}</pre></details>",
            follows.len(),
            group.link(),
            escaped(&by_family(&follows)),
            escaped(&lines.join("\n"))
        )?;
    }
    writeln!(out, "</article>")
}

fn line(item: &Item) -> String {
    let word = if item.outcome == Outcome::Unknown { "unknown" } else { item.word() };
    format!("{word}: {}: {}", item.id, item.summary)
}
