use super::*;

const LIST: &str = r#"{"cniVersion":"1.0.0", "name":"pods", "disableCheck":true,
  "plugins":[{"type":"ptp","ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.1.0/24"}]]}},
             {"type":"portmap","capabilities":{"portMappings":true}}]}"#;

fn add(text: &str) -> String {
    with_plugin(text, &Settings::default()).unwrap().unwrap()
}

fn types(text: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(text).unwrap();
    let plugins = value["plugins"].as_array().unwrap();
    plugins
        .iter()
        .map(|plugin| plugin["type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_plugin_comes_last_and_the_others_stay_as_they_are() {
    let after = add(LIST);
    assert_eq!(types(&after), ["ptp", "portmap", TYPE]);
    let (before, after): (Value, Value) = (
        serde_json::from_str(LIST).unwrap(),
        serde_json::from_str(&after).unwrap(),
    );
    assert_eq!(before["plugins"][0], after["plugins"][0]);
    assert_eq!(before["disableCheck"], after["disableCheck"]);
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&before), keys(&after));
}

#[test]
fn what_has_the_plugin_already_is_not_changed() {
    assert_eq!(with_plugin(&add(LIST), &Settings::default()), Ok(None));
}

#[test]
fn a_plugin_that_others_put_behind_ours_stays_there() {
    let later = add(LIST).replace("portmap", "bandwidth");
    let mut value: Value = serde_json::from_str(&later).unwrap();
    value["plugins"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "tuning"}));
    assert_eq!(
        with_plugin(&value.to_string(), &Settings::default()),
        Ok(None)
    );
}

#[test]
fn other_settings_change_the_entry_where_it_stands_and_a_second_one_goes() {
    let mut value: Value = serde_json::from_str(&add(LIST)).unwrap();
    let plugins = value["plugins"].as_array_mut().unwrap();
    plugins.insert(1, plugins[2].clone());
    let settings = Settings {
        time_limit_seconds: 5,
        ..Settings::default()
    };
    let after = with_plugin(&value.to_string(), &settings).unwrap().unwrap();
    assert_eq!(types(&after), ["ptp", TYPE, "portmap"]);
    let after: Value = serde_json::from_str(&after).unwrap();
    assert_eq!(after["plugins"][1]["timeLimitSeconds"], 5);
}

#[test]
fn a_single_plugin_becomes_a_list() {
    let single = r#"{"cniVersion":"0.4.0","name":"pods","type":"bridge","isGateway":true}"#;
    let after = add(single);
    assert_eq!(types(&after), ["bridge", TYPE]);
    let value: Value = serde_json::from_str(&after).unwrap();
    assert_eq!(
        (&value["name"], &value["cniVersion"]),
        (&json!("pods"), &json!("0.4.0"))
    );
    assert!(came_from(&after, single));
}

#[test]
fn taking_it_out_gives_what_was_there() {
    let after = add(LIST);
    let back = without_plugin(&after).unwrap().unwrap();
    let values = [LIST, &back].map(|text| serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(values[0], values[1]);
    assert_eq!(without_plugin(LIST), Ok(None));
    assert!(came_from(&after, LIST));
    assert!(!came_from(&after.replace("10.244.1.0", "10.244.2.0"), LIST));
}

#[test]
fn what_is_no_configuration_is_refused_with_the_reason() {
    let syntax = with_plugin("{\"plugins\": [", &Settings::default());
    assert!(matches!(syntax, Err(ConflistError::Syntax(_))));
    for (text, why) in [
        ("[]", "it is no object"),
        ("{}", "it has neither plugins nor a type"),
        (
            r#"{"cniVersion":"1.0.0","plugins":{}}"#,
            "plugins is no list",
        ),
        (
            r#"{"cniVersion":"1.0.0","plugins":[]}"#,
            "it names no other plugin",
        ),
        (r#"{"type":"bridge"}"#, "it has no name"),
    ] {
        let refused = with_plugin(text, &Settings::default());
        assert_eq!(refused, Err(ConflistError::Shape(why)), "{text}");
    }
    let old = with_plugin(&LIST.replace("1.0.0", "0.2.0"), &Settings::default());
    assert_eq!(old, Err(ConflistError::Version("0.2.0".to_owned())));
}

#[test]
fn one_of_several_versions_is_enough() {
    let several = LIST.replace(r#""1.0.0""#, r#""2.0.0", "cniVersions":["1.1.0","2.0.0"]"#);
    assert_eq!(types(&add(&several)), ["ptp", "portmap", TYPE]);
}
