use super::*;

fn read(given: &[&str], environment: &Environment, json: Option<&str>) -> Configuration {
    let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
    let file = |path: &str| Ok(json.filter(|_| path == "/etc/docker/daemon.json").map(str::to_owned));
    Configuration::read(Sources {
        given: &given,
        added: &[],
        environment,
        defaults: &Defaults::default(),
        version: None,
        read: &file,
    })
    .unwrap()
}

fn variables(tls: Option<&str>, host: Option<&str>) -> Environment {
    Environment { tls_directory: tls.map(str::to_owned), host: host.map(str::to_owned), ..Environment::default() }
}

fn words(configuration: &Configuration) -> Vec<String> {
    configuration.compose(&[], &Overrides::default()).unwrap().words
}

fn addresses(configuration: &Configuration) -> Vec<String> {
    configuration.listens().iter().map(|host| host.address.to_string()).collect()
}

#[test]
fn flags_are_read_by_pflags_rules() {
    for (given, name, value, spelled) in [
        (&["-H", "tcp://x:1"][..], "host", "tcp://x:1", "-H"),
        (&["-Htcp://x:1"], "host", "tcp://x:1", "-H"),
        (&["-H=tcp://x:1"], "host", "tcp://x:1", "-H"),
        // Of a single character nothing is left for a value: it is the value.
        (&["-H="], "host", "=", "-H"),
        (&["-DH", "tcp://x:1"], "host", "tcp://x:1", "-H"),
        (&["-DHtcp://x:1"], "host", "tcp://x:1", "-H"),
        (&["-Dlwarn"], "log-level", "warn", "-l"),
        (&["-D"], "debug", "true", "-D"),
        (&["-D=false"], "debug", "false", "-D"),
        (&["--host", "tcp://x:1"], "host", "tcp://x:1", "--host"),
        (&["--host=tcp://x:1"], "host", "tcp://x:1", "--host"),
        (&["--host", "-H"], "host", "-H", "--host"),
        (&["--tls", "false"], "tls", "true", "--tls"),
        (&["--tls=false"], "tls", "false", "--tls"),
        (&["--label=a=b"], "label", "a=b", "--label"),
        (&["--label="], "label", "", "--label"),
        (&["--data-root", "/a", "--data-root=/b/"], "data-root", "/b/", "--data-root"),
    ] {
        let configuration = Configuration::of_words(given);
        let setting = configuration.setting(name).unwrap_or_else(|| panic!("{given:?}"));
        assert_eq!((setting.value.as_str(), setting.origin.to_string().as_str()), (value, spelled), "{given:?}");
        assert_eq!(words(&configuration), given, "nothing is changed on the way");
    }
}

#[test]
fn what_pflag_refuses_is_a_problem_and_the_rest_is_read() {
    for (given, problem) in [
        (&["--no-such", "-D"][..], Problem::Word("unknown flag: --no-such".to_owned())),
        (&["--no-such", "value", "-D"], Problem::Word("unknown flag: --no-such".to_owned())),
        (&["--=x", "-D"], Problem::Word("bad flag syntax: --=x".to_owned())),
        (&["-Dx"], Problem::Word("unknown shorthand flag: 'x' in -Dx".to_owned())),
        (&["-D", "--host"], Problem::Word("flag needs an argument: --host".to_owned())),
        (&["-DH"], Problem::Word("flag needs an argument: 'H' in -DH".to_owned())),
        (&["-D", "word"], Problem::Argument("word".to_owned())),
        (&["-D", "--", "-H"], Problem::Argument("-H".to_owned())),
        (&["-D", "--tls=no"], Problem::Value("tls".to_owned(), "no".to_owned())),
    ] {
        let configuration = Configuration::of_words(given);
        assert_eq!(configuration.problems, [problem], "{given:?}");
        assert_eq!(configuration.switch("debug"), Some(true), "{given:?}");
        assert_eq!(words(&configuration), given);
    }
}

#[test]
fn a_version_has_its_own_flags() {
    let of = |version: &str| {
        let given = ["--nri-opts=enable=true".to_owned()];
        let version = version.parse().unwrap();
        let sources = Sources {
            given: &given,
            added: &[],
            environment: &Environment::default(),
            defaults: &Defaults::default(),
            version: Some(&version),
            read: &|_| Ok(Some("{\"features\": {}, \"min-api-version\": \"1.44\"}".to_owned())),
        };
        Configuration::read(sources).unwrap().problems
    };
    assert!(of("29.7.2").is_empty());
    assert_eq!(
        of("28.5.2"),
        [Problem::Word("unknown flag: --nri-opts".to_owned()), Problem::UnknownKey("min-api-version".to_owned())]
    );
    // It reads no file.
    assert_eq!(of("1.9.1").len(), 1);
}

#[test]
fn the_daemons_name_is_no_argument_and_nothing_is_added_to_a_whole_command_line() {
    let given = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for (words, program) in [
        (&["dockerd", "-D"][..], 1),
        (&["docker", "daemon", "-D"], 2),
        (&["docker", "-d", "-D"], 2),
        (&["-D"], 0),
        (&["docker"], 0),
    ] {
        assert_eq!(program_words(&given(words)).len(), program, "{words:?}");
    }
    assert!(is_for_daemon(&[]) && is_for_daemon(&given(&["-x"])) && is_for_daemon(&given(&["dockerd"])));
    assert!(!is_for_daemon(&given(&["docker", "ps"])) && !is_for_daemon(&given(&["sh"])));
    let whole = read(&["dockerd", "-D"], &variables(Some("/certs"), Some("unix:///x")), None);
    assert_eq!((words(&whole), whole.is_whole, whole.tls()), (given(&["-D"]), true, None));
    assert_eq!(addresses(&whole), ["unix:///var/run/docker.sock"]);
}

#[test]
fn the_file_is_read_as_the_daemon_does() {
    let json = "\u{feff}{\"hosts\": [\"unix:///x\", \"tcp://:1\"], \"proxies\": {\"http-proxy\": \"http://u:p@h\"}, \
                \"features\": {\"containerd-snapshotter\": true}, \"mtu\": 1400, \"iptables\": false, \
                \"log-opts\": {\"max-size\": \"1m\"}, \"runtimes\": {}}";
    let configuration = read(&["--add-runtime=a=b"], &Environment::default(), Some(json));
    assert_eq!(configuration.problems, []);
    assert_eq!(addresses(&configuration), ["unix:///x", "tcp://localhost:1"]);
    assert_eq!(configuration.hosts()[0].origin.to_string(), "/etc/docker/daemon.json: hosts");
    assert_eq!(configuration.text("http-proxy"), Some("http://u:p@h"));
    assert_eq!(configuration.feature("containerd-snapshotter").map(|(on, _)| on), Some(true));
    assert_eq!(configuration.number("mtu"), Some(1400));
    assert!(configuration.is_off("iptables") && !configuration.is_off("ip6tables"));
    assert_eq!(configuration.list("log-opt"), ["max-size=1m"]);
    let shown = serde_json::to_string(&configuration).unwrap();
    assert!(!shown.contains("u:p@h"), "{shown}");
    for (json, problem) in [
        ("{\"no-such\": 1}", Problem::UnknownKey("no-such".to_owned())),
        ("{\"proxies\": {\"no-such\": 1}}", Problem::UnknownKey("no-such".to_owned())),
        ("{\"hosts\": []}", Problem::Twice("hosts".to_owned())),
        ("{\"debug\": true}", Problem::Twice("debug".to_owned())),
    ] {
        assert_eq!(read(&["-DH", "unix://"], &Environment::default(), Some(json)).problems, [problem], "{json}");
    }
    assert!(read(&[], &Environment::default(), Some(" \n")).file.exists);
}

#[test]
fn another_file_counts_when_it_is_named() {
    let given = ["--config-file=/x.json".to_owned()];
    let with = |text: Option<&str>| {
        let file = |path: &str| {
            assert_eq!(path, "/x.json");
            Ok(text.map(str::to_owned))
        };
        Configuration::read(Sources {
            given: &given,
            added: &[],
            environment: &Environment::default(),
            defaults: &Defaults::default(),
            version: None,
            read: &file,
        })
    };
    assert_eq!(with(Some("{\"data-root\": \"/d/\"}")).unwrap().data_root().value, "/d");
    assert_eq!(with(None).unwrap_err().to_string(), "cannot read /x.json: it is not there");
    assert_eq!(with(Some("{")).unwrap_err().verb, "parse");
    assert_eq!(with(Some("[]")).unwrap_err().verb, "parse");
}

#[test]
fn addresses_have_the_daemons_defaults() {
    for (text, expected) in [
        ("tcp://", "tcp://localhost:2375"),
        ("tcp://0.0.0.0:2376", "tcp://0.0.0.0:2376"),
        ("tcp://[::1]:1", "tcp://[::1]:1"),
        ("tcp://[::]", "tcp://[::]:2375"),
        (":2375", "tcp://localhost:2375"),
        ("0.0.0.0:1", "tcp://0.0.0.0:1"),
        ("unix://", "unix:///var/run/docker.sock"),
        ("fd://", "fd://"),
    ] {
        assert_eq!(addresses(&Configuration::of_words(&["-H", text])), [expected]);
    }
    for wrong in ["tcp://x:0", "tcp://x:y", "tcp://x:1/path", "npipe://x", "http://x"] {
        let hosts = Configuration::of_words(&["-H", wrong]).hosts();
        assert_eq!(hosts[0].address, Address::Other(wrong.to_owned()));
    }
    assert_eq!(addresses(&Configuration::of_words(&["--tlsverify"])), ["tcp://localhost:2376"]);
    assert_eq!(addresses(&Configuration::of_words(&["-H", ""])), ["unix:///var/run/docker.sock"]);
    let local = |text| Configuration::of_words(&["-H", text]).hosts()[0].is_local();
    assert!(local("tcp://127.0.0.2:1") && local("tcp://[::1]:1") && local("tcp://") && local(":1"));
    assert!(!local("tcp://0.0.0.0:1") && !local("tcp://[::]:1") && !local("unix:///x"));
}

#[test]
fn tls_follows_the_daemons_rules() {
    for (given, json, on, verify) in [
        (&["--tls"][..], "{}", true, true),
        (&["--tls=false"], "{}", false, false),
        (&["--tlsverify"], "{}", true, true),
        (&["--tlsverify=false"], "{}", true, false),
        (&["--tlsverify", "--tls=false"], "{}", true, true),
        (&[], "{\"tls\": true}", true, true),
        (&[], "{\"tlsverify\": false}", true, false),
        (&["--tlsverify"], "{\"tls\": false}", true, true),
        (&["--tlsverify=false"], "{\"tls\": true}", true, false),
        (&["--tls"], "{\"tlsverify\": false}", true, false),
    ] {
        let tls = read(given, &Environment::default(), Some(json)).tls();
        assert_eq!(tls, Some(Tls { on, verify }), "{given:?} {json}");
    }
    assert_eq!(Configuration::of_words(&["-D"]).tls(), None);
    let old = Configuration { tls_verifies: false, ..Configuration::of_words(&["--tls"]) };
    assert_eq!(old.tls(), Some(Tls { on: true, verify: false }));
}

const TLS: [&str; 6] = [
    "--host=unix:///var/run/docker.sock",
    "--host=tcp://0.0.0.0:2376",
    "--tlsverify",
    "--tlscacert=/certs/server/ca.pem",
    "--tlscert=/certs/server/cert.pem",
    "--tlskey=/certs/server/key.pem",
];

#[test]
fn a_directory_for_certificates_makes_every_address_tls() {
    let certs = variables(Some("/certs"), None);
    assert_eq!(words(&read(&[], &certs, None)), TLS);
    for given in [&["-D"][..], &["-Htcp://0.0.0.0:1"], &["--tls=false"], &["-H", "unix:///y", "--tlsverify"]] {
        let configuration = read(given, &certs, None);
        assert_eq!(words(&configuration), [&TLS[..], given].concat());
        assert_eq!(configuration.tls(), Some(Tls { on: true, verify: true }), "{given:?}");
        assert!(configuration.uses_certificates());
    }
    let own = read(&["--tlscert=/x", "--tlsverify=false"], &certs, None);
    assert!(!own.uses_certificates());
    assert_eq!(own.tls(), Some(Tls { on: true, verify: false }));
    let json = read(&[], &certs, Some("{\"hosts\": [\"tcp://0.0.0.0:1\"]}"));
    assert_eq!(words(&json), TLS[2..]);
    let json = read(&[], &certs, Some("{\"tlsverify\": true, \"tlscert\": \"/x\"}"));
    assert_eq!(words(&json), [TLS[0], TLS[1], "--tls", TLS[3], TLS[5]]);
    let json = read(&[], &certs, Some("{\"tls\": false}"));
    assert_eq!(words(&json), TLS);
    assert_eq!(json.tls(), Some(Tls { on: true, verify: true }));
    // The daemon takes `tls` from one place only.
    let json = read(&[], &certs, Some("{\"tls\": true, \"tlsverify\": true, \"mtu\": 1400}"));
    let composed = json.compose(&[], &Overrides { copy: Some("/run/copy"), ..Overrides::default() }).unwrap();
    assert_eq!(composed.words, [&TLS[..2], &["--tls"], &TLS[3..], &["--config-file=/run/copy"]].concat());
    assert_eq!(composed.copy.unwrap().content, "{\"mtu\":1400,\"tlsverify\":true}");
    assert_eq!(json.tls(), Some(Tls { on: true, verify: true }));
}

#[test]
fn an_empty_directory_opens_2375_and_nothing_is_open_unasked() {
    // Said outright, or the daemon sleeps for 15 s to warn of it.
    let plain = ["--host=unix:///var/run/docker.sock", "--host=tcp://0.0.0.0:2375", "--tls=false"];
    let json = Some("{\"tls\": false}");
    assert_eq!(words(&read(&[], &variables(Some(""), None), json)), plain[..2]);
    assert_eq!(words(&read(&[], &variables(Some(""), None), None)), plain);
    let own = ["-H", "tcp://127.0.0.1:1"];
    assert_eq!(words(&read(&own, &variables(Some(""), None), None)), [&plain[..], &own].concat());
    assert!(words(&read(&[], &variables(None, None), None)).is_empty());
    assert!(words(&read(&[], &variables(None, Some("tcp://docker:2376")), None)).is_empty());
    assert_eq!(words(&read(&[], &variables(None, Some("unix:///x.sock")), None)), ["--host=unix:///x.sock"]);
    let both = variables(Some(""), Some("unix:///x.sock"));
    assert_eq!(words(&read(&[], &both, None)), ["--host=unix:///x.sock", plain[1], plain[2]]);
}

#[test]
fn addresses_can_be_replaced_whatever_they_come_from() {
    let hosts = ["fd://".to_owned(), "unix:///private".to_owned()];
    let overrides =
        Overrides { hosts: Some(&hosts), added: &["--x".to_owned()], copy: Some("/run/copy"), without: &[] };
    let program = ["dockerd".to_owned()];
    let compose = |given: &[&str], environment, json| {
        let composed = read(given, &environment, json).compose(&program, &overrides).unwrap();
        (composed.words.join(" "), composed.copy.map(|copy| copy.content))
    };
    let replaced = "dockerd --host=fd:// --host=unix:///private";
    assert_eq!(
        compose(&["-DHtcp://x:1", "--host", "unix://", "-l=warn", "--", "y"], variables(None, None), None),
        (format!("{replaced} --debug -l=warn --x -- y"), None)
    );
    let tls = TLS[2..].join(" ");
    assert_eq!(
        compose(&["-D"], variables(Some("/certs"), None), None),
        (format!("dockerd {tls} --host=fd:// --host=unix:///private -D --x"), None)
    );
    assert_eq!(
        compose(
            &["--config-file", "/etc/docker/daemon.json"],
            variables(None, None),
            Some("{\"hosts\": [], \"mtu\": 1}")
        ),
        (format!("{replaced} --config-file=/run/copy --x"), Some("{\"mtu\":1}".to_owned()))
    );
    let (own, copy) =
        compose(&["--config-file", "/etc/docker/daemon.json"], variables(None, None), Some("{\"mtu\": 1}"));
    assert_eq!((own, copy), (format!("{replaced} --config-file /etc/docker/daemon.json --x"), None));
}

#[test]
fn a_report_gives_the_same_answers_and_no_command_line() {
    let json = Some("{\"hosts\": [\"tcp://x:1\"], \"storage-driver\": \"vfs\"}");
    let configuration = read(&["--mtu", "1"], &variables(Some("/certs"), None), json);
    let again: Configuration = serde_json::from_str(&serde_json::to_string(&configuration).unwrap()).unwrap();
    assert_eq!((again.hosts(), again.tls()), (configuration.hosts(), configuration.tls()));
    assert_eq!(again.storage_driver(), configuration.storage_driver());
    assert_eq!(again.compose(&[], &Overrides::default()), Err(ComposeError));
}

#[test]
fn the_driver_of_the_variable_counts_and_is_no_flag() {
    let environment = Environment { driver: Some("vfs".to_owned()), ..Environment::default() };
    for given in [&["-s", "overlay2"][..], &["dockerd", "--storage-driver=overlay2"]] {
        let configuration = read(given, &environment, None);
        assert_eq!(configuration.storage_driver().unwrap().origin, Origin::Variable("DOCKER_DRIVER".to_owned()));
        assert!(!words(&configuration).contains(&"--storage-driver=vfs".to_owned()));
    }
}

#[test]
fn the_image_store_is_chosen_as_moby_does() {
    use ImageStore::{Containerd, Graphdriver};
    let drivers = ["overlay2".to_owned(), "vfs".to_owned()];
    let on = "--feature=containerd-snapshotter";
    for (given, default, prior, store, why) in [
        (&[][..], Containerd, false, Containerd, "the default"),
        (&[], Containerd, true, Graphdriver, "what is in the data-root"),
        (&[on], Containerd, true, Containerd, "--feature (containerd-snapshotter)"),
        (&[on], Graphdriver, false, Containerd, "--feature (containerd-snapshotter)"),
        (
            &["--feature=containerd-snapshotter=false"],
            Containerd,
            false,
            Graphdriver,
            "--feature (containerd-snapshotter)",
        ),
        (&["--userns-remap=default"], Containerd, false, Graphdriver, "userns-remap"),
        (&["-s", "overlay2"], Containerd, false, Graphdriver, "-s"),
        // A snapshotter's name.
        (&["-s", "native"], Containerd, false, Containerd, "the default"),
        (&["-s", "overlay2"], Graphdriver, false, Graphdriver, "the default"),
    ] {
        let configuration = Configuration::of_words(given);
        assert_eq!(configuration.image_store(default, &drivers, prior), (store, why.to_owned()), "{given:?}");
    }
    let old = Configuration { knows_snapshotter: false, ..Configuration::of_words(&[on]) };
    assert_eq!(old.image_store(Graphdriver, &drivers, false).0, Graphdriver);
    let moved =
        Configuration { containerd_root: Some("/c/".to_owned()), ..Configuration::of_words(&["--data-root=/d"]) };
    for (path, own) in [
        ("/var/lib/docker/containerd/x", Some("/c/x")),
        ("/var/lib/docker/x", Some("/d/x")),
        ("/var/lib/docker", Some("/d")),
        ("/var/lib/dockers", None),
        ("/run/docker/x", None),
    ] {
        assert_eq!(moved.moved(path).as_deref(), own, "{path}");
    }
    let moved = Configuration::of_words(&["--exec-root=/x", "-p", "/y.pid"]);
    assert_eq!(moved.moved("/run/docker/containerd/containerd.pid").as_deref(), Some("/x/containerd/containerd.pid"));
    assert_eq!(moved.moved("/var/run/docker.pid").as_deref(), Some("/y.pid"));
}

proptest::proptest! {
    #[test]
    fn no_word_is_lost_and_nothing_panics(
        given in proptest::collection::vec("(--?(host|tls|label|H|D|DH|x)?=?)?(\\PC|[-= ]){0,4}", 0..6)
    ) {
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        let mut composed = words(&Configuration::of_words(&given));
        composed.sort();
        let mut expected = given;
        expected.sort_unstable();
        proptest::prop_assert_eq!(composed, expected);
    }
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::of(|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn flags_come_by_variables_split_as_a_shell_does() {
    let given = environment(&[
        ("DOCKER_OPTS", "--mtu 1300 -D"),
        ("DINDCHECK_DAEMON_ARGS", "--label 'a b' --mtu=1400 --no-such \"x\\\"y\""),
    ]);
    let configuration = read(&["--log-level=warn"], &given, None);
    let expected = ["--mtu", "1300", "-D", "--label", "a b", "--mtu=1400", "--no-such", "x\"y", "--log-level=warn"];
    assert_eq!(words(&configuration), expected);
    assert_eq!(configuration.number("mtu"), Some(1400));
    assert_eq!(configuration.setting("label").unwrap().origin, Origin::Variable("DINDCHECK_DAEMON_ARGS".to_owned()));
    assert_eq!(configuration.problems, [Problem::Word("unknown flag: --no-such".to_owned())]);
    // A whole command line gets them too: they are no one's but the daemon's.
    assert_eq!(words(&read(&["dockerd", "-D"], &given, None)).len(), 9);
    // Given in both places, as the daemon would refuse it.
    let twice = read(&[], &environment(&[("DOCKER_OPTS", "--mtu=1")]), Some(r#"{"mtu": 2}"#));
    assert_eq!(twice.problems, [Problem::Twice("mtu".to_owned())]);

    let open = environment(&[("DOCKER_OPTS", "--label 'a")]);
    let error = Configuration::read(Sources {
        given: &[],
        added: &[],
        environment: &open,
        defaults: &Defaults::default(),
        version: None,
        read: &|_| Ok(None),
    });
    assert_eq!(error.unwrap_err().to_string(), "cannot split DOCKER_OPTS: a quote is not closed in `--label 'a`");
}

#[test]
fn single_options_come_by_the_names_in_use() {
    for (variables, expected) in [
        (&[("MTU", "1400")][..], &["--mtu=1400"][..]),
        (&[("MTU", " ")], &[]),
        (&[("MTU", "1400"), ("PLUGIN_MTU", "1300")], &["--mtu=1400"]),
        (
            &[("DOCKER_REGISTRY_MIRROR", "http://m:5000, http://n")],
            &["--registry-mirror=http://m:5000", "--registry-mirror=http://n"],
        ),
        (&[("PLUGIN_CUSTOM_DNS", "1.1.1.1,8.8.8.8")], &["--dns=1.1.1.1", "--dns=8.8.8.8"]),
        (&[("PLUGIN_IPV6", "true")], &["--ipv6"]),
        (&[("PLUGIN_IPV6", "false")], &["--ipv6=false"]),
        (
            &[("DOCKER_DEFAULT_ADDRESS_POOL_BASE", "172.30.0.0/16"), ("DOCKER_DEFAULT_ADDRESS_POOL_SIZE", "24")],
            &["--default-address-pool=base=172.30.0.0/16,size=24"],
        ),
        (&[("DOCKER_DEFAULT_ADDRESS_POOL_BASE", "172.30.0.0/16")], &[]),
        (&[("PLUGIN_INSECURE", "true"), ("PLUGIN_REGISTRY", "r:1")], &["--insecure-registry=r:1"]),
        (&[("PLUGIN_INSECURE", "false"), ("PLUGIN_REGISTRY", "r:1")], &[]),
    ] {
        assert_eq!(words(&read(&[], &environment(variables), None)), expected, "{variables:?}");
    }
}

#[test]
fn what_is_set_nearer_to_the_daemon_goes_before_a_variable() {
    let mtu = environment(&[("MTU", "1400"), ("DOCKER_REGISTRY_MIRROR", "http://a,http://b")]);
    let by_flag = read(&["--mtu", "1300"], &mtu, None);
    assert_eq!(by_flag.number("mtu"), Some(1300));
    assert_eq!(by_flag.left_out, [LeftOut { variable: "MTU".to_owned(), reason: "--mtu is set".to_owned() }]);
    let by_file = read(&[], &mtu, Some(r#"{"registry-mirrors": ["http://c"]}"#));
    assert_eq!(words(&by_file), ["--mtu=1400"]);
    assert_eq!(by_file.list("registry-mirror"), ["http://c"]);
    let reason = "/etc/docker/daemon.json: registry-mirrors is set".to_owned();
    assert_eq!(by_file.left_out, [LeftOut { variable: "DOCKER_REGISTRY_MIRROR".to_owned(), reason }]);
    assert!(by_file.problems.is_empty());

    let old = Configuration::read(Sources {
        given: &[],
        added: &[],
        environment: &environment(&[("PLUGIN_STORAGE_PATH", "/data")]),
        defaults: &Defaults::default(),
        version: Some(&"1.13.1".parse().unwrap()),
        read: &|_| Ok(None),
    });
    assert_eq!(old.unwrap().left_out[0].reason, "no --data-root");
}
