//! The program under test.

use std::path::Path;

/// Its path: `$DINDCHECK_BINARY`, by which `scripts/test` has the file tested that is packaged; without it the one that
/// cargo has built beside the test.
pub(crate) fn path() -> &'static str {
    static PATH: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let Ok(path) = std::env::var("DINDCHECK_BINARY") else { return env!("CARGO_BIN_EXE_dindcheck").to_owned() };
        assert!(Path::new(&path).is_absolute(), "DINDCHECK_BINARY={path}: not an absolute path");
        assert!(Path::new(&path).is_file(), "DINDCHECK_BINARY={path}: no such file; scripts/test builds it");
        path
    });
    &PATH
}
