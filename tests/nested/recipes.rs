//! Recipes run for real: the daemon with what a recipe gives it, and a client with what it gives that one. The image is
//! the lab's, with the entrypoint that the recipes' images have.

use dindcheck::pages::Recipe;
use serde_yaml::Value;

use crate::lab::{Outer, run};

fn recipe(name: &str) -> Value {
    let recipe = Recipe::find(name).unwrap_or_else(|| panic!("there is no recipe {name}"));
    serde_yaml::from_str(recipe.text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The value at a path of keys and indices.
fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('/').fold(value, |value, key| match key.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[key],
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:?}")).to_owned()
}

/// The variables of a mapping whose names begin so, each as `NAME=VALUE`.
fn variables(mapping: &Value, begin: &str) -> Vec<String> {
    let all = mapping.as_mapping().expect("variables").iter().map(|(name, value)| (text(name), text(value)));
    all.filter(|(name, _)| name.starts_with(begin)).map(|(name, value)| format!("{name}={value}")).collect()
}

/// The variables of a container of a pod.
fn of_pod(container: &Value) -> Vec<String> {
    let all = container["env"].as_sequence().expect("variables").iter();
    all.map(|one| format!("{}={}", text(&one["name"]), text(&one["value"]))).collect()
}

/// Starts the daemon, waits as the recipe does, and asks it as the client does, in the daemon's network, under the name
/// `docker`. `shared` are directories that the client has too.
fn serves(daemon: &[String], args: &[String], shared: &[&str], client: &[String]) {
    let own = |variables: &[String]| -> Vec<String> {
        variables.iter().flat_map(|variable| ["--docker-arg".to_owned(), format!("-e{variable}")]).collect()
    };
    let volumes = shared.iter().flat_map(|path| ["--docker-arg".to_owned(), format!("-v{path}")]);
    let name = ["--docker-arg".to_owned(), "--add-host=docker:127.0.0.1".to_owned()];
    let options: Vec<String> = own(daemon).into_iter().chain(volumes).chain(name).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outer = Outer::start("28.5.2", &options, &[&["dindcheck", "--fix"], args.as_slice()].concat());
    outer.wait_for_log(" is ready, proved in ");
    outer.exec(&["dindcheck", "health"]).expect_status(0);

    let mut options = own(client);
    for option in [format!("--network=container:{}", outer.name()), format!("--volumes-from={}:ro", outer.name())] {
        options.extend(["--docker-arg".to_owned(), option]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let seen = run("28.5.2", &options, &["docker", "info", "--format", "{{.ServerVersion}}"]);
    let seen = seen.expect_status(0).stdout;
    assert!(seen.starts_with("28.5.2"), "{client:?}: {seen}");
}

#[test]
fn compose() {
    let all = recipe("compose");
    let (daemon, client) = (at(&all, "services/docker"), at(&all, "services/build"));
    serves(&variables(&daemon["environment"], ""), &[], &["/certs"], &variables(&client["environment"], ""));
}

#[test]
fn gitlab() {
    let all = recipe("gitlab");
    let of_both = variables(at(&all, "build/variables"), "");
    let runner = Recipe::find("gitlab").expect("a recipe").text;
    assert!(runner.contains("volumes = [\"/certs/client\""), "what the runner shares");
    // A service gets the job's variables too.
    serves(&of_both, &[], &["/certs/client"], &of_both);
}

#[test]
fn github() {
    let job = recipe("github")["jobs"]["build"].clone();
    serves(&variables(at(&job, "services/docker/env"), ""), &[], &[], &variables(&job["env"], ""));
}

#[test]
fn arc() {
    let all = recipe("arc");
    let spec = at(&all, "template/spec");
    let (daemon, runner) = (at(spec, "initContainers/1"), at(spec, "containers/0"));
    let args: Vec<String> = daemon["args"].as_sequence().expect("arguments").iter().map(text).collect();
    serves(&of_pod(daemon), &args, &["/var/run"], &of_pod(runner));
}

/// JSON with comments, each in a line of its own.
fn devcontainer_json() -> serde_json::Value {
    let text = Recipe::find("devcontainer").expect("a recipe").text;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    serde_json::from_str(&lines.join("\n")).expect("JSON with comments")
}

/// Its user comes in whatever is wrong, and learns what that is; where nothing is, the command after the start ends well.
#[test]
fn devcontainer() {
    let all = devcontainer_json();
    let own = all["containerEnv"].as_object().expect("variables").iter();
    let own: Vec<String> = own.map(|(name, value)| format!("-e{name}={}", value.as_str().expect("a text"))).collect();
    let options: Vec<&str> = own.iter().flat_map(|variable| ["--docker-arg", variable]).collect();
    let after = all["postStartCommand"].as_str().expect("a command");
    assert!(all["privileged"] == true && all["overrideCommand"] == false, "{all:#}");
    let outer = Outer::start("28.5.2", &options, &["dindcheck", "--fix"]);
    outer.script(after);
    outer.script("docker version");

    let missing = "rm $(command -v runc); exec dindcheck --fix --job -- sh -c 'echo \"in: $DINDCHECK_FAILED\"'";
    let seen = run("28.5.2", &options, &["sh", "-c", missing]).expect_status(0);
    assert!(seen.stdout.starts_with("in: engine.binaries: "), "{seen}");
}

/// A job's wrapper as Kubernetes' test images have it: the daemon beside the job's command with flags by a variable, a wait,
/// the command's status, and nothing left running.
#[test]
fn wrapper_of_a_job() {
    let wrapper = "
        dindcheck --detach --fix
        timeout 30 dindcheck health --wait 30s
        status=0
        \"$@\" || status=$?
        docker ps -aq | xargs -r docker rm -fv > /dev/null
        kill $(pgrep -o -x dindcheck)
        until grep -q 'Daemon shutdown complete' /var/log/dindcheck.log; do sleep 0.1; done
        exit $status";
    let job = "docker info -f '{{.Labels}}' && tar -C / -c bin/busybox | docker import - busybox > /dev/null &&
               docker run -d --cgroup-parent /jobs busybox /bin/busybox sleep 1000 > /dev/null && exit 7";
    let options = ["--docker-arg", "-eDOCKER_OPTS=--label from=wrapper --mtu 1400", "--docker-arg", "--init"];
    let run = run("28.5.2", &options, &["sh", "-c", wrapper, "sh", "sh", "-c", job]).expect_status(7);
    assert!(run.stdout.contains("[from=wrapper]"), "{run}");
}
