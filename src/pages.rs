//! The pages of the manual and the recipes: the files of `src/pages`, each text in one of them alone.

/// The pages, by topic.
pub const PAGES: &[(&str, &str)] = &[
    ("use", include_str!("pages/use.md")),
    ("install", include_str!("pages/install.md")),
    ("entrypoint", include_str!("pages/entrypoint.md")),
    ("coming-from-docker-dind", include_str!("pages/coming-from-docker-dind.md")),
    ("images", include_str!("pages/images.md")),
    ("compose", include_str!("pages/compose.md")),
    ("kubernetes", include_str!("pages/kubernetes.md")),
    ("gitlab", include_str!("pages/gitlab.md")),
    ("github", include_str!("pages/github.md")),
    ("devcontainer", include_str!("pages/devcontainer.md")),
    ("gate", include_str!("pages/gate.md")),
    ("checks", include_str!("pages/checks.md")),
    ("kernels", include_str!("pages/kernels.md")),
    ("rules", include_str!("pages/rules.md")),
    ("security", include_str!("pages/security.md")),
    ("work", include_str!("pages/work.md")),
];

/// A file to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Its name; never renamed.
    pub name: &'static str,
    /// The name of its file in `src/pages/recipes`.
    pub file: &'static str,
    /// The whole file.
    pub text: &'static str,
}

macro_rules! recipes {
    ($($name:literal: $file:literal,)*) => {
        &[$(Recipe { name: $name, file: $file, text: include_str!(concat!("pages/recipes/", $file)) }),*]
    };
}

/// All recipes.
pub const RECIPES: &[Recipe] = recipes! {
    "docker-dind": "docker-dind.Dockerfile",
    "debian": "debian.Dockerfile",
    "alpine": "alpine.Dockerfile",
    "rootless": "rootless.Dockerfile",
    "compose": "compose.yaml",
    "kubernetes": "kubernetes.yaml",
    "kubernetes-userns": "kubernetes-userns.yaml",
    "gitlab": "gitlab.yaml",
    "github": "github.yaml",
    "arc": "arc.yaml",
    "devcontainer": "devcontainer.json",
};

impl Recipe {
    /// The recipe of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        RECIPES.iter().find(|recipe| recipe.name == name)
    }

    /// What it is for: the comment in its first line.
    pub fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches(['#', '/', ' '])
    }

    /// The language of its file, as a fence in Markdown names it.
    pub fn language(&self) -> &'static str {
        match self.file.rsplit('.').next() {
            Some("Dockerfile") => "dockerfile",
            Some("json") => "jsonc",
            _ => "yaml",
        }
    }
}

/// The page on that topic, with each recipe in the place of the line that is a link to it and nothing else; without
/// comments.
pub fn page(topic: &str) -> Option<String> {
    let (_, source) = PAGES.iter().find(|(name, _)| *name == topic)?;
    let mut page = String::with_capacity(source.len());
    for line in source.lines().filter(|line| !line.starts_with("<!--")) {
        match RECIPES.iter().find(|recipe| line == format!("[{0}](recipes/{0})", recipe.file)) {
            Some(recipe) => page += &format!("```{}\n{}```\n", recipe.language(), recipe.text),
            None => page.extend([line, "\n"]),
        }
    }
    Some(page)
}

/// The title of a page: its heading.
pub fn title(page: &str) -> &str {
    page.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
}
