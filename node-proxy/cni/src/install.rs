//! Puts the plugin in place on a node, keeps it there, and takes it away again.
//!
//! Runtimes use the first network configuration of the folder, by name; that is where the plugin goes. Whatever others write wins:
//! their file is taken as the new original, and the plugin is added to it. An original is kept beside its file under a name that
//! runtimes do not read, so that its very bytes can come back. A broken file is never written over.

mod files;
mod options;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use notify::{Event, EventKind, RecursiveMode, Watcher};

use crate::conflist::{self, ConflistError, TYPE};
use files::{Permissions, write};
pub use options::Options;

/// Looked at this often even if the kernel tells of no change.
const LOOK: Duration = Duration::from_secs(30);
/// Changes that come within this time are looked at together: a file that is being written is broken for a moment.
const QUIET: Duration = Duration::from_millis(100);
/// Between the configuration that names the binary no more, and the end of the binary.
const SETTLE: Duration = Duration::from_secs(1);
/// Where an original lies: beside its file, under its name with this behind it.
const ORIGINAL: &str = "heddle-original";

/// Why the plugin is not (or still) in place.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The command line.
    #[error("{0}")]
    Usage(String),
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A network configuration that cannot be understood; nothing was written.
    #[error("{path} is left as it is: {source}")]
    Conflist {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ConflistError,
    },
    /// No network plugin has written its configuration yet (or it is not where it is looked for).
    #[error(
        "no network configuration in {0} yet; a CNI writes one, or another folder has to be named"
    )]
    NoConfiguration(PathBuf),
    /// The folder cannot be watched.
    #[error("cannot watch for changes: {0}")]
    Watch(#[from] notify::Error),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> InstallError + use<'_> {
    move |source| InstallError::File {
        path: path.to_owned(),
        source,
    }
}

fn in_conflist(path: &Path) -> impl FnOnce(ConflistError) -> InstallError + use<'_> {
    move |source| InstallError::Conflist {
        path: path.to_owned(),
        source,
    }
}

/// Puts binary and configuration in place; unless told to do it once, stays and repairs.
///
/// # Errors
/// Once: what is not in place and why. Else only if nothing can be watched: other errors are told on stderr and tried again.
pub fn install(options: &Options) -> Result<(), InstallError> {
    if options.once {
        return ensure(options).map(|done| tell(&done));
    }
    let report = |result: Result<Vec<String>, InstallError>| match result {
        Ok(done) => tell(&done),
        Err(error) => eprintln!("heddle-cni: {error}"),
    };
    keep(options.clone(), || true, report)?.wait();
    Err(notify::Error::io(io::Error::other("the watcher ended")).into())
}

/// What keeps the plugin in place, on a thread of its own.
pub struct Keeping {
    wake: mpsc::Sender<Wake>,
    thread: thread::JoinHandle<()>,
}

/// Why the keeping thread looks.
enum Wake {
    Changed,
    Stop,
}

impl Keeping {
    /// Ends it; the plugin stays as it is.
    pub fn stop(self) {
        // If it has ended already, so much the better.
        let _ = self.wake.send(Wake::Stop);
        self.wait();
    }

    /// Returns when it has ended; by itself it does only if the kernel tells of no changes any more.
    fn wait(self) {
        drop(self.wake);
        // A panic there was told by itself.
        let _ = self.thread.join();
    }
}

/// Puts the plugin in place and keeps it there while `is_ours`. What was done, and what could not be, is reported: an error again only
/// when it is another one.
///
/// # Errors
/// Nothing can be watched.
pub fn keep(
    options: Options,
    is_ours: impl Fn() -> bool + Send + 'static,
    mut report: impl FnMut(Result<Vec<String>, InstallError>) + Send + 'static,
) -> Result<Keeping, InstallError> {
    let (wake, changes) = mpsc::channel();
    let sender = wake.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Reading is no change, and we read ourselves.
        if !matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_))) {
            // Nobody listens any more: the process ends.
            let _ = sender.send(Wake::Changed);
        }
    })?;
    for folder in [&options.conf_dir, &options.bin_dir] {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    let thread = thread::spawn(move || {
        let _watcher = watcher;
        let mut told = String::new();
        loop {
            if is_ours() {
                let result = ensure(&options);
                let text = result.as_ref().err().map(ToString::to_string);
                if text.as_ref() != Some(&told) {
                    report(result);
                }
                told = text.unwrap_or_default();
            }
            if !wait_for_change(&changes) {
                return;
            }
        }
    });
    Ok(Keeping { wake, thread })
}

/// Until something may have changed and is quiet again; `false`: it is over.
fn wait_for_change(changes: &mpsc::Receiver<Wake>) -> bool {
    match changes.recv_timeout(LOOK) {
        Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        Ok(Wake::Changed) | Err(RecvTimeoutError::Timeout) => {}
    }
    let quiet = Instant::now() + QUIET;
    loop {
        match changes.recv_timeout(quiet.saturating_duration_since(Instant::now())) {
            Ok(Wake::Changed) => {}
            Ok(Wake::Stop) => return false,
            Err(_) => return true,
        }
    }
}

fn tell(done: &[String]) {
    for line in done {
        eprintln!("heddle-cni: {line}");
    }
}

/// Brings the node to what it should be, once. Returns what was done, in words.
///
/// # Errors
/// The first thing that could not be done. The binary comes before the configuration that names it.
pub fn ensure(options: &Options) -> Result<Vec<String>, InstallError> {
    let mut done = Vec::new();
    if ensure_binary(options)? {
        done.push(format!("{} written", options.plugin().display()));
    }
    let configurations = configurations(&options.conf_dir)?;
    let Some((first, others)) = configurations.split_first() else {
        return Err(InstallError::NoConfiguration(options.conf_dir.clone()));
    };
    if let Some(line) = ensure_configuration(first, options)? {
        done.push(line);
    }
    // Runtimes read the first only: what was the first before gets its own back. A broken one does not matter to anybody.
    for other in others {
        if let Ok(Some(line)) = restore(other) {
            done.push(line);
        }
    }
    Ok(done)
}

fn ensure_binary(options: &Options) -> Result<bool, InstallError> {
    let own = fs::read(&options.binary).map_err(at(&options.binary))?;
    let plugin = options.plugin();
    if fs::read(&plugin).is_ok_and(|there| there == own) && files::is_executable(&plugin) {
        return Ok(false);
    }
    write(&plugin, &own, &Permissions::EXECUTABLE).map_err(at(&plugin))?;
    Ok(true)
}

fn ensure_configuration(path: &Path, options: &Options) -> Result<Option<String>, InstallError> {
    let text = fs::read_to_string(path).map_err(at(path))?;
    let with = conflist::with_plugin(&text, &options.settings).map_err(in_conflist(path))?;
    let Some(with) = with else {
        return Ok(None);
    };
    let permissions = Permissions::of(path).map_err(at(path))?;
    if !conflist::has_plugin(&text).map_err(in_conflist(path))? {
        let original = original_of(path);
        write(&original, text.as_bytes(), &permissions).map_err(at(&original))?;
    }
    let list = path.with_extension("conflist");
    write(&list, with.as_bytes(), &permissions).map_err(at(&list))?;
    if list != path {
        // Its name comes before the list's. Last, so that there is a configuration at any moment.
        fs::remove_file(path).map_err(at(path))?;
    }
    Ok(Some(format!("{} names {TYPE} now", list.display())))
}

/// Takes the configuration away, and then the binary that it names. What cannot be understood is left, and then the binary with it.
///
/// # Errors
/// The first thing that could not be undone; all others are undone.
pub fn uninstall(options: &Options) -> Result<(), InstallError> {
    let mut failed = None;
    let mut settle = false;
    for path in configurations(&options.conf_dir)? {
        match restore(&path) {
            Ok(line) => {
                settle |= line.is_some();
                tell(line.as_slice());
            }
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    for (stale, _) in files::with_extension(&options.conf_dir, &[ORIGINAL])? {
        fs::remove_file(&stale).map_err(at(&stale))?;
    }
    if settle {
        // A runtime that has just read the old configuration calls the plugin once more.
        thread::sleep(SETTLE);
    }
    let plugin = options.plugin();
    match fs::remove_file(&plugin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&plugin)(error)),
        _ => Ok(()),
    }
}

/// Takes the plugin out of a configuration: the original's bytes where nothing else changed, else everything but our entry.
fn restore(path: &Path) -> Result<Option<String>, InstallError> {
    let text = fs::read_to_string(path).map_err(at(path))?;
    if !text.contains(TYPE) {
        // Whatever it is, and however broken.
        return Ok(None);
    }
    let Some(without) = conflist::without_plugin(&text).map_err(in_conflist(path))? else {
        return Ok(None);
    };
    for source in sources(path) {
        let original = original_of(&source);
        let Ok(bytes) = fs::read_to_string(&original) else {
            continue;
        };
        if !conflist::came_from(&text, &bytes) {
            continue;
        }
        let permissions = Permissions::of(&original).map_err(at(&original))?;
        write(&source, bytes.as_bytes(), &permissions).map_err(at(&source))?;
        if source != path {
            fs::remove_file(path).map_err(at(path))?;
        }
        fs::remove_file(&original).map_err(at(&original))?;
        return Ok(Some(format!("{} is as it was", source.display())));
    }
    let permissions = Permissions::of(path).map_err(at(path))?;
    write(path, without.as_bytes(), &permissions).map_err(at(path))?;
    Ok(Some(format!(
        "{} does not name {TYPE} any more",
        path.display()
    )))
}

/// The files that a list may have been made of.
fn sources(list: &Path) -> [PathBuf; 3] {
    ["conflist", "conf", "json"].map(|extension| list.with_extension(extension))
}

fn original_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ORIGINAL);
    name.into()
}

/// What runtimes would read, in their order.
fn configurations(folder: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let found = files::with_extension(folder, &["conf", "conflist", "json"])?;
    Ok(found.into_iter().map(|(path, _)| path).collect())
}
