//! `heddle demo`, as a newcomer runs it: the tour as root and without, and the live demo with edits, commands in pods and every way to end.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use heddle_scenarios::{Demo, Outcome, conclude, copy, lesson, programs};
use nix::sys::signal::Signal;
use serde::Deserialize;

type Scenario = (&'static str, fn() -> anyhow::Result<()>);

fn main() -> ExitCode {
    let mut outcomes = Vec::new();
    tour(
        &mut outcomes,
        "as_root",
        nix::unistd::geteuid().is_root(),
        as_we_are,
    );
    tour(&mut outcomes, "without_root", true, as_nobody);
    let scenarios: &[Scenario] = &[
        (
            "a_command_runs_in_a_pod_of_the_running_demo",
            commands_in_pods,
        ),
        (
            "a_broken_file_keeps_what_was_good_and_a_repaired_one_applies",
            broken_file,
        ),
        ("killed_it_leaves_nothing_behind", || {
            Demo::start()?.end(Signal::SIGKILL)
        }),
        ("terminated_it_leaves_nothing_behind", || {
            Demo::start()?.end(Signal::SIGTERM)
        }),
        ("interrupted_it_leaves_nothing_behind", || {
            Demo::start()?.end(Signal::SIGINT)
        }),
    ];
    for (name, scenario) in scenarios {
        println!("{name} ...");
        outcomes.push(((*name).to_owned(), scenario()));
    }
    conclude(&outcomes)
}

/// What `heddle demo --check --json` prints.
#[derive(Deserialize)]
struct Report {
    passed: bool,
    seconds: f64,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    passed: bool,
    seen: serde_json::Value,
}

type Way = fn(&Path, &Path) -> anyhow::Result<Command>;

/// Each check of the tour counts as a test.
fn tour(outcomes: &mut Vec<Outcome>, how: &str, possible: bool, way: Way) {
    if !possible {
        println!("the tour {how} is left out: this is not root");
        return;
    }
    println!("the tour {how} ...");
    match take_tour(way) {
        Ok(report) => {
            let ended = report.checks.iter().all(|check| check.passed) == report.passed;
            let whole = ended.then_some(()).context("the report contradicts itself");
            outcomes.push((
                format!("the_tour_{how}_reports ({:.0} s)", report.seconds),
                whole,
            ));
            outcomes.extend(report.checks.into_iter().map(|check| {
                let outcome = if check.passed {
                    Ok(())
                } else {
                    Err(anyhow::anyhow!("{}", check.seen))
                };
                (format!("the_tour_{how}::{}", check.name), outcome)
            }));
        }
        Err(error) => outcomes.push((format!("the_tour_{how}"), Err(error))),
    }
}

fn take_tour(way: Way) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    // Others must be able to read it.
    fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let manifests = folder.path().join("lesson");
    copy(&lesson(), &manifests)?;
    let mut command = way(&programs()?, folder.path())?;
    let output = command
        .args(["demo", "--check", "--json", "--manifests"])
        .arg(&manifests)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let report: Report = serde_json::from_slice(&output.stdout).context("no report")?;
    ensure!(
        output.status.success() == report.passed,
        "the exit code {} contradicts the report",
        output.status
    );
    Ok(report)
}

fn as_we_are(programs: &Path, _: &Path) -> anyhow::Result<Command> {
    Ok(Command::new(programs.join("heddle")))
}

/// With copies of the programs, since the build folder may be closed to others.
fn as_nobody(programs: &Path, folder: &Path) -> anyhow::Result<Command> {
    if !nix::unistd::geteuid().is_root() {
        return as_we_are(programs, folder);
    }
    for name in ["heddle", "heddle-control-plane", "heddle-node-proxy"] {
        fs::copy(programs.join(name), folder.join(name))?;
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(folder.join("heddle"));
    Ok(command)
}

const URL: &str = "http://api-v2-svc.production:8080/api/v2";

fn commands_in_pods() -> anyhow::Result<()> {
    let demo = Demo::start()?;
    let output = demo.exec("client", &["sh", "-c", "echo $POD_NAMESPACE/$POD_NAME"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        text == "default/client\n",
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answers = demo.probe("production/client", &["load", "--count", "20", URL])?;
    ensure!(answers.contains("\"ok\":20"), "{answers}");
    let output = demo.exec("nobody", &["true"])?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success() && text.contains("no pod nobody"),
        "{text}"
    );
    demo.end(Signal::SIGTERM)
}

fn broken_file() -> anyhow::Result<()> {
    let demo = Demo::start()?;
    let path = demo.manifests().join("51-api-v2-routes.yaml");
    let good = fs::read_to_string(&path)?;
    // In the middle of a word, as an editor may leave it.
    let middle = good
        .find("weight: 90")
        .context("the lesson has no weight: 90")?;
    fs::write(&path, &good[..middle + 3])?;
    sleep(Duration::from_millis(1500));
    let canary = share_of_canary(&demo, 300)?;
    ensure!(
        canary > 0.0 && canary < 0.5,
        "the last good weights are gone: {canary}"
    );
    let all_to_canary = good.replace("weight: 90", "weight: 0");
    ensure!(all_to_canary != good);
    fs::write(&path, all_to_canary)?;
    let begin = Instant::now();
    while share_of_canary(&demo, 50)? < 1.0 {
        ensure!(
            begin.elapsed() < Duration::from_secs(10),
            "the repaired file does not apply"
        );
    }
    demo.end(Signal::SIGTERM)
}

#[derive(Deserialize)]
struct Answers {
    ok: u64,
    failed: u64,
    backends: Vec<Backend>,
}

#[derive(Deserialize)]
struct Backend {
    pod: String,
    count: u64,
}

fn share_of_canary(demo: &Demo, count: u64) -> anyhow::Result<f64> {
    let number = count.to_string();
    let load = ["load", "--every-ms", "600000", "--count", &number, URL];
    let text = demo.probe("client", &load)?;
    let answers: Answers = serde_json::from_str(&text).with_context(|| text.clone())?;
    ensure!(answers.failed == 0 && answers.ok == count, "{text}");
    let canary = answers
        .backends
        .iter()
        .filter(|backend| backend.pod.contains("canary"));
    Ok(canary.map(|backend| backend.count).sum::<u64>() as f64 / count as f64)
}
