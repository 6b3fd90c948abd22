use std::{os::unix::fs::PermissionsExt, thread};

use super::*;
use crate::plugin::Settings;

/// Formatted as nobody's program would write it again.
const ORIGINAL_TEXT: &str = "{ \"cniVersion\":\"1.0.0\",\n\t\"name\": \"pods\", \"plugins\": [ {\"type\":\"ptp\",\"mtu\":1.50e3} ] }";
const SINGLE: &str = r#"{"cniVersion":"0.4.0",   "name":"pods","type":"bridge"}"#;

struct World {
    folder: tempfile::TempDir,
    options: Options,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            bin_dir: folder.path().join("bin"),
            conf_dir: folder.path().join("net.d"),
            binary: folder.path().join("binary"),
            once: true,
            ..Options::default()
        };
        fs::create_dir(&options.bin_dir).unwrap();
        fs::create_dir(&options.conf_dir).unwrap();
        fs::write(&options.binary, "a program").unwrap();
        let world = Self { folder, options };
        for (name, text) in files {
            world.put(name, text);
        }
        world
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.options.conf_dir.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.options.conf_dir.join(name)).unwrap()
    }

    fn names(&self, name: &str) -> bool {
        conflist::has_plugin(&self.read(name)).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.options.conf_dir).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn it_goes_into_the_first_configuration_and_uninstalling_gives_its_bytes_back() {
    let world = World::new(&[
        ("10-pods.conflist", ORIGINAL_TEXT),
        ("20-other.conflist", ORIGINAL_TEXT),
    ]);
    install(&world.options).unwrap();
    assert!(world.names("10-pods.conflist"));
    assert_eq!(world.read("20-other.conflist"), ORIGINAL_TEXT);
    let plugin = world.options.plugin();
    assert_eq!(fs::read(&plugin).unwrap(), b"a program");
    assert_eq!(
        fs::metadata(&plugin).unwrap().permissions().mode() & 0o777,
        0o755
    );
    assert_eq!(ensure(&world.options).unwrap(), Vec::<String>::new());
    uninstall(&world.options).unwrap();
    assert_eq!(world.read("10-pods.conflist"), ORIGINAL_TEXT);
    assert_eq!(world.files(), ["10-pods.conflist", "20-other.conflist"]);
    assert!(!plugin.exists());
}

#[test]
fn a_single_plugins_file_gives_way_to_a_list_and_comes_back() {
    let world = World::new(&[("10-pods.conf", SINGLE)]);
    ensure(&world.options).unwrap();
    assert_eq!(
        world.files(),
        ["10-pods.conf.heddle-original", "10-pods.conflist"]
    );
    assert!(world.names("10-pods.conflist"));
    uninstall(&world.options).unwrap();
    assert_eq!(world.read("10-pods.conf"), SINGLE);
    assert_eq!(world.files(), ["10-pods.conf"]);
}

#[test]
fn a_file_keeps_its_mode() {
    let world = World::new(&[("10-pods.conflist", ORIGINAL_TEXT)]);
    let path = world.options.conf_dir.join("10-pods.conflist");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    ensure(&world.options).unwrap();
    assert_eq!(mode(), 0o640);
    uninstall(&world.options).unwrap();
    assert_eq!(mode(), 0o640);
}

#[test]
fn what_another_cni_writes_over_it_is_the_new_original() {
    let world = World::new(&[("10-pods.conflist", ORIGINAL_TEXT)]);
    ensure(&world.options).unwrap();
    let newer = ORIGINAL_TEXT.replace("ptp", "bridge");
    world.put("10-pods.conflist", &newer);
    ensure(&world.options).unwrap();
    assert!(world.names("10-pods.conflist"));
    uninstall(&world.options).unwrap();
    assert_eq!(world.read("10-pods.conflist"), newer);
}

#[test]
fn a_configuration_that_comes_before_ours_takes_the_plugin_over() {
    let world = World::new(&[("10-pods.conflist", ORIGINAL_TEXT)]);
    ensure(&world.options).unwrap();
    world.put("05-new.conflist", ORIGINAL_TEXT);
    ensure(&world.options).unwrap();
    assert!(world.names("05-new.conflist"));
    assert_eq!(world.read("10-pods.conflist"), ORIGINAL_TEXT);
}

#[test]
fn what_others_added_meanwhile_stays_when_ours_goes() {
    let world = World::new(&[("10-pods.conflist", ORIGINAL_TEXT)]);
    ensure(&world.options).unwrap();
    let more = world.read("10-pods.conflist").replacen(
        "\"plugins\": [",
        "\"plugins\": [{\"type\":\"tuning\"},",
        1,
    );
    world.put("10-pods.conflist", &more);
    uninstall(&world.options).unwrap();
    assert!(world.read("10-pods.conflist").contains("tuning"));
    assert!(!world.names("10-pods.conflist"));
    assert_eq!(world.files(), ["10-pods.conflist"]);
}

#[test]
fn a_broken_file_is_left_alone_and_named() {
    let world = World::new(&[("10-pods.conflist", "{\"plugins\": [")]);
    let error = ensure(&world.options).unwrap_err().to_string();
    assert!(
        error.contains("10-pods.conflist is left as it is: it is no valid JSON"),
        "{error}"
    );
    assert_eq!(world.files(), ["10-pods.conflist"]);
    world.put(
        "10-pods.conflist",
        "{\"plugins\": [{\"type\": \"heddle-cni\"}",
    );
    assert!(uninstall(&world.options).is_err());
    assert!(
        world.options.plugin().exists(),
        "somebody may still name it"
    );
    world.put("10-pods.conflist", ORIGINAL_TEXT);
    ensure(&world.options).unwrap();
    assert!(world.names("10-pods.conflist"));
}

#[test]
fn a_node_without_a_network_configuration_is_a_problem_until_there_is_one() {
    let world = World::new(&[]);
    let error = ensure(&world.options).unwrap_err().to_string();
    assert!(error.contains("net.d yet"), "{error}");
    world.put("10-pods.conflist", ORIGINAL_TEXT);
    ensure(&world.options).unwrap();
    assert!(world.names("10-pods.conflist"));
}

#[test]
fn whoever_keeps_it_tells_of_each_change_once_and_can_be_stopped() {
    let world = World::new(&[]);
    let (sender, told) = mpsc::channel();
    let report = move |result: Result<Vec<String>, InstallError>| {
        let _ = sender.send(result.is_ok());
    };
    let keeping = keep(world.options.clone(), || true, report).unwrap();
    let next = || told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(!next(), "there is no configuration yet");
    world.put("10-pods.conflist", ORIGINAL_TEXT);
    while !next() {}
    assert!(world.names("10-pods.conflist"));
    keeping.stop();
    world.put("10-pods.conflist", ORIGINAL_TEXT);
    uninstall(&world.options).unwrap();
    assert_eq!(world.read("10-pods.conflist"), ORIGINAL_TEXT);
    assert!(!world.options.plugin().exists());
}

#[test]
fn whoever_is_superseded_repairs_nothing() {
    let world = World::new(&[("10-pods.conflist", ORIGINAL_TEXT)]);
    let (sender, looked) = mpsc::channel();
    let is_ours = move || {
        let _ = sender.send(());
        false
    };
    let keeping = keep(world.options.clone(), is_ours, |_| {
        panic!("nothing is done")
    })
    .unwrap();
    looked.recv_timeout(Duration::from_secs(20)).unwrap();
    keeping.stop();
    assert_eq!(world.read("10-pods.conflist"), ORIGINAL_TEXT);
}

#[test]
fn a_changed_or_unexecutable_binary_is_replaced() {
    let world = World::new(&[("10-pods.conflist", ORIGINAL_TEXT)]);
    ensure(&world.options).unwrap();
    let plugin = world.options.plugin();
    fs::write(&plugin, "another program").unwrap();
    ensure(&world.options).unwrap();
    assert_eq!(fs::read(&plugin).unwrap(), b"a program");
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(ensure(&world.options).unwrap().len(), 1);
    assert!(files::is_executable(&plugin));
}

#[test]
fn whoever_stays_repairs_what_is_rewritten() {
    let world = World::new(&[]);
    let options = Options {
        once: false,
        ..world.options.clone()
    };
    // It stays as long as the test's process.
    thread::spawn(move || install(&options));
    let patience = Instant::now() + Duration::from_secs(20);
    let repaired = |text: &str| {
        world.put("10-pods.conflist", text);
        while !conflist::has_plugin(&world.read("10-pods.conflist")).unwrap_or(false) {
            assert!(Instant::now() < patience, "not repaired");
            thread::sleep(Duration::from_millis(5));
        }
    };
    repaired(ORIGINAL_TEXT);
    repaired(&ORIGINAL_TEXT.replace("ptp", "bridge"));
    assert!(world.folder.path().exists());
}

#[test]
fn the_command_line_sets_what_the_entry_says() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let options = Options::parse(&words(
        "--conf-dir /a --bin-dir=/b --once --socket /c --time-limit 5 --when-unreachable pass --critical a,b",
    ))
    .unwrap();
    let expected = Settings {
        socket: "/c".into(),
        time_limit_seconds: 5,
        when_unreachable: crate::plugin::Unreachable::Pass,
        host_critical_namespaces: vec!["a".to_owned(), "b".to_owned()],
    };
    assert_eq!(options.settings, expected);
    assert!(options.once);
    assert_eq!(
        (options.conf_dir, options.bin_dir),
        ("/a".into(), "/b".into())
    );
    for wrong in [
        "--time-limit soon",
        "--when-unreachable maybe",
        "--socket",
        "--confdir /a",
    ] {
        assert!(
            matches!(Options::parse(&words(wrong)), Err(InstallError::Usage(_))),
            "{wrong}"
        );
    }
}
