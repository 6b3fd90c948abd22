use super::*;

fn read(words: &str) -> Result<Arguments, String> {
    let words = ["heddle-load"].into_iter().chain(words.split_whitespace());
    Arguments::read(words).map_err(|error| error.to_string())
}

#[test]
fn a_mesh_with_nothing_to_change_is_refused_with_what_to_ask_for() {
    for (words, says) in [
        ("--services 0", "no Service whose endpoints"),
        ("--services 0 --routes 10", "routes need a Service"),
        (
            "--services 0 --routes 10 --case routes",
            "routes need a Service",
        ),
        ("--endpoints 0", "no endpoint to change"),
        ("--case routes", "ask for some by --routes"),
    ] {
        let error = read(words).unwrap_err();
        assert!(error.contains(says), "{words}: {error}");
    }
}

#[test]
fn sizes_that_can_be_measured_are_taken() {
    for words in [
        "",
        "--services 1 --endpoints 1",
        "--services 1 --routes 5 --case routes --endpoints 0",
    ] {
        read(words).unwrap();
    }
}
