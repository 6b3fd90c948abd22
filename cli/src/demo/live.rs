//! The live table: routes with wanted and observed shares, and the policy matrix, until the user ends it.

use std::{
    collections::VecDeque,
    fs,
    io::{IsTerminal, Write},
    path::Path,
    process::ExitCode,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    thread,
    time::{Duration, Instant, SystemTime},
};

use comfy_table::{Cell, Color, Table, presets::UTF8_BORDERS_ONLY};

use super::{
    lesson::{Wanted, wanted},
    matrix::{self, Seen},
    mesh::Mesh,
    probes::{Interval, Load},
    programs::text,
};

/// Observed figures are of this much time.
const WINDOW: Duration = Duration::from_secs(5);

/// Starts everything and shows it until the process is ended.
pub(super) fn run(manifests: &Path) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    println!("Making two nodes and their pods ...");
    let mut mesh = Mesh::new(manifests)?;
    println!("Starting the control plane and the node proxies ...");
    mesh.start()?;
    let mut rows = rows(&mesh);
    let screen = Screen {
        started: begin.elapsed(),
        heddle: called(&mesh.programs.heddle),
        is_terminal: std::io::stdout().is_terminal(),
    };
    let (mesh, seen) = (RwLock::new(mesh), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        scope.spawn(|| watch_matrix(manifests, &mesh, &seen));
        loop {
            thread::sleep(screen.every());
            // Busy with the matrix: then at the next round.
            if let Ok(mut mesh) = mesh.try_write() {
                for program in mesh.restart_ended()? {
                    println!("{program} had ended and is started again");
                }
                mesh.trim_logs()?;
            }
            for row in &mut rows {
                row.refresh(manifests);
            }
            screen.show(manifests, &rows, &lock(&seen))?;
        }
    })
}

/// By its name alone, if that finds this very file.
fn called(program: &Path) -> String {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join("heddle"));
    let first = found.into_iter().find(|path| path.is_file());
    match first.and_then(|path| path.canonicalize().ok()) {
        Some(path) if path == *program => "heddle".to_owned(),
        _ => text(program),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tries the matrix at the start and after each change of the folder.
fn watch_matrix(manifests: &Path, mesh: &RwLock<Mesh>, seen: &Mutex<Vec<Seen>>) {
    let mut last = None;
    loop {
        let stamp = stamp(manifests);
        if last != Some(stamp) {
            last = Some(stamp);
            // The change is on its way to the proxies.
            thread::sleep(Duration::from_millis(500));
            let mesh = mesh.read().unwrap_or_else(PoisonError::into_inner);
            match matrix::lesson().and_then(|cells| matrix::look(&mesh, &cells)) {
                Ok(new) => *lock(seen) = new,
                Err(error) => eprintln!("the policy matrix cannot be tried: {error:#}"),
            }
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// When a file of the folder was changed last.
fn stamp(manifests: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(manifests).ok()?.flatten();
    let times = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    times.max()
}

/// A route under load.
struct Row {
    name: &'static str,
    from: &'static str,
    route: (&'static str, &'static str),
    load: Load,
    recent: VecDeque<(Instant, Interval)>,
    wanted: Vec<Wanted>,
}

/// The lesson's routes; one whose client is not in the folder is left out.
fn rows(mesh: &Mesh) -> Vec<Row> {
    let gateway = mesh
        .bed
        .nodes()
        .next()
        .map(|node| format!("http://{}/api/v2", node.address));
    let inside = "http://api-v2-svc.production:8080/api/v2";
    let row = |name, from, route, pod, url: &str| {
        let pace = ["--rate", "200", "--connections", "8", url];
        let load = Load::start(mesh, pod, &pace).ok()?;
        Some(Row {
            name,
            from,
            route,
            load,
            recent: VecDeque::new(),
            wanted: Vec::new(),
        })
    };
    let client = "default/client";
    let mesh_row = row(
        "Service api-v2-svc",
        client,
        ("production", "api-v2-mesh"),
        Some(client),
        inside,
    );
    let gateway_row = gateway.and_then(|url| {
        row(
            "Gateway my-gateway",
            "outside",
            ("production", "api-route"),
            None,
            &url,
        )
    });
    [mesh_row, gateway_row].into_iter().flatten().collect()
}

impl Row {
    fn refresh(&mut self, manifests: &Path) {
        self.recent.extend(self.load.take());
        while self
            .recent
            .front()
            .is_some_and(|(ended, _)| ended.elapsed() > WINDOW)
        {
            self.recent.pop_front();
        }
        // A file that is broken at the moment: the last good weights stay, here as in the mesh.
        if let Ok(wanted) = wanted(manifests, self.route.0, self.route.1) {
            self.wanted = wanted;
        }
    }

    fn add_to(&self, table: &mut Table) {
        let sum = Interval::sum(self.recent.iter().map(|(_, interval)| interval.clone()));
        let first = |index: usize, text: String| if index == 0 { text } else { String::new() };
        for (index, wanted) in self.wanted.iter().enumerate() {
            let answers = sum
                .backends
                .iter()
                .filter(|backend| wanted.pods.contains(&backend.pod));
            let count: u64 = answers.clone().map(|backend| backend.count).sum();
            let identity = answers
                .map(|backend| backend.identity.as_str())
                .next()
                .unwrap_or("-");
            table.add_row([
                first(index, format!("{}\nfrom {}", self.name, self.from)),
                wanted.service.clone(),
                format!("{:.0} %", wanted.share * 100.0),
                format!("{:.1} %", 100.0 * count as f64 / sum.ok.max(1) as f64),
                first(index, format!("{:.1} / {:.1} ms", sum.p50_ms, sum.p99_ms)),
                first(index, format!("{} / {}", sum.ok, sum.failed)),
                format!("{}\n→ {}", short(identity), short(&wanted.identity)),
            ]);
        }
    }
}

/// A SPIFFE id without what is the same for all.
fn short(identity: &str) -> &str {
    identity
        .strip_prefix("spiffe://cluster.local/")
        .unwrap_or(identity)
}

/// How it is shown.
struct Screen {
    started: Duration,
    /// How this program is called.
    heddle: String,
    is_terminal: bool,
}

impl Screen {
    fn every(&self) -> Duration {
        Duration::from_secs(if self.is_terminal { 1 } else { 5 })
    }

    fn show(&self, manifests: &Path, rows: &[Row], seen: &[Seen]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.is_terminal {
            // Cursor home, clear the screen (ECMA-48).
            write!(out, "\x1b[H\x1b[2J")?;
        }
        writeln!(
            out,
            "Heddle, ready after {:.1} s. Requests of the last {} s:",
            self.started.as_secs_f64(),
            WINDOW.as_secs()
        )?;
        writeln!(out, "{}", routes(rows))?;
        writeln!(out, "{}", policies(seen))?;
        writeln!(
            out,
            "Edit and save a file in {}: it takes effect at once.\n\
             In another terminal: {heddle} demo exec client -- curl -s http://api-v2-svc.production:8080/api/v2\n\
             \x20                    {heddle} demo logs node-a      (Ctrl-C here ends everything)",
            manifests.display(),
            heddle = self.heddle,
        )?;
        out.flush()?;
        Ok(())
    }
}

fn routes(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "route",
        "backend",
        "wanted",
        "observed",
        "p50 / p99",
        "ok / failed",
        "identities (mTLS)",
    ]);
    for row in rows {
        row.add_to(&mut table);
    }
    table
}

fn policies(seen: &[Seen]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["from", "to", "lesson", "seen", ""]);
    if seen.is_empty() {
        table.add_row(["the policy matrix is being tried ..."]);
    }
    let word = |allowed| if allowed { "allow" } else { "deny" };
    for one in seen {
        let color = if one.is_as_expected() {
            Color::Green
        } else {
            Color::Red
        };
        let to = one.cell.to.trim_start_matches("http://");
        table.add_row([
            Cell::new(&one.cell.from),
            Cell::new(format!("{} {to}", one.cell.how.as_str())),
            Cell::new(word(one.cell.allowed)),
            Cell::new(word(one.answered)).fg(color),
            Cell::new(&one.cell.because),
        ]);
    }
    table
}
