//! What a run on a host of the lab has printed.

use serde_json::Value;

/// What follows a line `=== NAME`, up to the next of that kind.
pub(crate) fn part<'s>(stdout: &'s str, name: &str) -> Option<&'s str> {
    let (_, rest) = stdout.split_once(&format!("=== {name}"))?;
    rest.split("=== ").next().map(str::trim)
}

/// A JSON report.
pub(crate) struct Report(pub(crate) Value);

impl Report {
    pub(crate) fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text).map(Self)
    }

    /// The checks that found something which blocks or is a warning, or could not tell, in their order.
    pub(crate) fn found(&self) -> Vec<&str> {
        let findings = self.0["findings"].as_array().expect("findings").iter();
        findings
            .filter(|finding| ["fail", "unknown"].iter().any(|outcome| finding["outcome"] == *outcome))
            .filter(|finding| finding["severity"] != "info")
            .filter_map(|finding| finding["id"].as_str())
            .collect()
    }

    /// The whole finding of a check, as text.
    pub(crate) fn finding(&self, id: &str) -> String {
        let findings = self.0["findings"].as_array().expect("findings");
        findings.iter().find(|finding| finding["id"] == id).map(Value::to_string).unwrap_or_default()
    }

    /// The outcome of a claim of the proof; `None` if it was not proved.
    pub(crate) fn claim(&self, id: &str) -> Option<&str> {
        let claims = self.0["verification"]["scenarios"].as_array()?;
        claims.iter().find(|claim| claim["id"] == id)?["outcome"].as_str()
    }

    /// The checks that were mended, in order, mends of comfort left out.
    pub(crate) fn mended(&self) -> Vec<&str> {
        let fixes = self.0["fixes"].as_array().expect("fixes").iter();
        fixes
            .filter(|fix| fix["result"] == "done")
            .filter_map(|fix| fix["fix"]["check"].as_str())
            .filter(|check| *check != "mounts.propagation")
            .collect()
    }
}
