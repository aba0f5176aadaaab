//! Completions, as the shell itself uses them, and the manual page.

use crate::common::dindcheck;

fn printed(args: &[&str]) -> String {
    let output = dindcheck().args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_our_words() {
    let script = "
        source /dev/stdin
        COMP_WORDS=(dindcheck profiles sh) COMP_CWORD=2
        _dindcheck dindcheck sh profiles
        echo \"${COMPREPLY[@]}\"
        COMP_WORDS=(dindcheck check --format sa) COMP_CWORD=3
        _dindcheck dindcheck sa --format
        echo \"${COMPREPLY[@]}\"";
    let completions = printed(&["completions", "bash"]);
    let output = assert_cmd::Command::new("bash").args(["-c", script]).write_stdin(completions).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "show\nsarif\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn bash_completes_ids() {
    let script = "
        source /dev/stdin
        COMP_WORDS=(dindcheck explain cgroup.del) COMP_CWORD=2
        _dindcheck dindcheck cgroup.del explain
        echo \"${COMPREPLY[@]}\"
        COMP_WORDS=(dindcheck check --skip storage.d-) COMP_CWORD=3
        _dindcheck dindcheck storage.d- --skip
        echo \"${COMPREPLY[@]}\"";
    let completions = printed(&["completions", "bash"]);
    let output = assert_cmd::Command::new("bash").args(["-c", script]).write_stdin(completions).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "cgroup.delegation\nstorage.d-type\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn pages_and_commands_are_shown_by_help() {
    for (topic, begin) in [("kubernetes", "# Kubernetes\n"), ("entrypoint", "# dindcheck as an entrypoint\n")] {
        assert!(printed(&["help", topic]).starts_with(begin), "{topic}");
    }
    assert!(printed(&["help", "verify"]).contains("--quick"));
    assert!(printed(&["help"]).contains("coming-from-docker-dind"));
    // Behind the options of an image, too.
    assert!(printed(&["--fix", "help", "kubernetes"]).starts_with("# Kubernetes\n"));
    assert_eq!(dindcheck().args(["help", "nope"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn other_shells_have_theirs() {
    for (shell, begin) in [("zsh", "#compdef dindcheck"), ("fish", "# Print an optspec"), ("elvish", "\nuse builtin")] {
        assert!(printed(&["completions", shell]).starts_with(begin), "{shell}");
    }
    assert_eq!(dindcheck().args(["completions", "cmd"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn the_manual_page_has_every_command() {
    let page = printed(&["man"]);
    for line in [".TH dindcheck 1", ".SH NAME", ".SH \"DINDCHECK CHECK\"", ".SH \"DINDCHECK VERIFY\""] {
        assert!(page.lines().any(|own| own.starts_with(line)), "{line}\n{page}");
    }
    assert!(!page.contains("DINDCHECK INSIDE"), "what is hidden is not for people");
}

#[test]
fn recipes_are_listed_printed_and_completed() {
    let list = printed(&["recipe"]);
    for recipe in dindcheck::pages::RECIPES {
        let line = list.lines().find(|line| line.split(' ').next() == Some(recipe.name)).unwrap();
        assert!(line.ends_with(recipe.title()) && line.len() <= 130, "{line}");
        assert_eq!(printed(&["recipe", recipe.name]), recipe.text);
    }
    assert_eq!(list.lines().count(), dindcheck::pages::RECIPES.len());
    // Behind the options of an image, too.
    assert!(printed(&["--fix", "recipe", "compose"]).starts_with("# Compose"));

    let unknown = |name: &str| {
        let output = dindcheck().args(["recipe", name]).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(unknown("kubernets").contains("near it: kubernetes;"), "{}", unknown("kubernets"));
    assert!(unknown("dind").contains("near it: docker-dind;"), "{}", unknown("dind"));
    assert!(unknown("zzz").contains("unknown recipe `zzz`; `dindcheck recipe` lists all"), "{}", unknown("zzz"));

    let script = "
        source /dev/stdin
        COMP_WORDS=(dindcheck recipe dev) COMP_CWORD=2
        _dindcheck dindcheck dev recipe
        echo \"${COMPREPLY[@]}\"
        COMP_WORDS=(dindcheck help coming) COMP_CWORD=2
        _dindcheck dindcheck coming help
        echo \"${COMPREPLY[@]}\"";
    let completions = printed(&["completions", "bash"]);
    let output = assert_cmd::Command::new("bash").args(["-c", script]).write_stdin(completions).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "devcontainer\ncoming-from-docker-dind\n", "{}", String::from_utf8_lossy(&output.stderr));
}
