//! The JSON schema of the profile format, as `profiles/schema.json` publishes it for editors and other programs. It is
//! made from the types themselves, and only in tests: nothing of it is in the binary.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::document::Document;
use super::schema::{Layer, Profile};
use crate::version::{ApiVersion, EngineVersion};

impl JsonSchema for EngineVersion {
    fn schema_name() -> Cow<'static, str> {
        "EngineVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An engine version such as 20.10.24.",
            "pattern": "^[0-9]+(\\.[0-9]+){0,2}",
        })
    }
}

impl JsonSchema for ApiVersion {
    fn schema_name() -> Cow<'static, str> {
        "ApiVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An API version such as 1.41. Quote it, or YAML takes it for a number.",
            "pattern": "^v?[0-9]+\\.[0-9]+$",
        })
    }
}

fn published(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles").join(name)
}

#[test]
fn the_published_schema_is_current() {
    let schema = schemars::schema_for!(Layer);
    let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = published("schema.json");
    if std::env::var_os("DINDCHECK_UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == current, "profiles/schema.json is old: DINDCHECK_UPDATE_SCHEMA=1 cargo test published");
}

#[test]
fn the_template_has_every_key_with_a_comment() {
    let text = std::fs::read_to_string(published("template.yaml")).unwrap();
    let layer: Layer = Document::new("template.yaml", &text).parse().unwrap();
    let keys: Vec<&str> = layer.entries("template.yaml").iter().map(|entry| entry.key).collect();
    assert_eq!(keys, Profile::KEYS);
    let mut above = "";
    let mut written = Vec::new();
    for line in text.lines() {
        if let Some(key) = line.strip_suffix(':').filter(|_| !line.starts_with([' ', '#'])) {
            assert!(above.starts_with("# "), "{key} has no comment above it");
            written.push(key);
        }
        above = line;
    }
    assert_eq!(written, Profile::KEYS, "the order is that of the schema");
}

#[test]
fn the_readme_names_every_key() {
    let text = std::fs::read_to_string(published("README.md")).unwrap();
    for key in Profile::KEYS {
        assert!(text.contains(&format!("`{key}`")), "{key} is not in profiles/README.md");
    }
}
