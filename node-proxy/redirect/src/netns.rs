//! Entering a network namespace, and coming back.

use std::{
    cell::RefCell,
    fmt,
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::sched::{CloneFlags, setns, unshare};

thread_local! {
    /// The namespace this thread is in, once asked for. Nothing but [`Netns::run`] may change it.
    static HERE: RefCell<Option<Netns>> = const { RefCell::new(None) };
}

/// Which namespace: two handles with the same id are the same namespace. Not used again while a handle is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetnsId {
    /// Device of the namespace file system.
    pub dev: u64,
    /// Inode there.
    pub ino: u64,
}

impl fmt::Display for NetnsId {
    /// As `readlink /proc/PID/ns/net` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.ino)
    }
}

/// Why a namespace cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// The file cannot be opened.
    #[error("cannot open the network namespace {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there but is no namespace: a pod's sandbox is gone, or not there yet.
    #[error("{0} is no network namespace")]
    NotANamespace(PathBuf),
    /// The kernel refuses to make one.
    #[error("cannot make a network namespace: {source}{}", hint(.source))]
    Create {
        /// Why.
        source: io::Error,
    },
    /// The kernel refuses to switch.
    #[error("cannot enter the network namespace {id}: {source}{}", hint(.source))]
    Enter {
        /// The namespace.
        id: NetnsId,
        /// Why.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (CAP_SYS_ADMIN is needed)",
        _ => "",
    }
}

impl From<NetnsError> for io::Error {
    fn from(error: NetnsError) -> Self {
        let kind = match &error {
            NetnsError::Open { source, .. }
            | NetnsError::Enter { source, .. }
            | NetnsError::Create { source } => source.kind(),
            NetnsError::NotANamespace(_) => io::ErrorKind::NotFound,
        };
        Self::new(kind, error)
    }
}

/// A network namespace, kept alive as long as this handle. Cheap to clone.
#[derive(Clone)]
pub struct Netns(Arc<Handle>);

struct Handle {
    file: File,
    id: NetnsId,
}

impl Netns {
    /// Opens a namespace by its file: `/run/netns/NAME`, `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// The file cannot be opened, or is a plain file that a namespace was or will be mounted on.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, NetnsError> {
        let path = path.as_ref();
        let failed = |source| NetnsError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let id = NetnsId::of(&file).map_err(failed)?;
        // Every namespace file lives on the one file system (nsfs) that our own namespace lives on too.
        let own = std::fs::metadata("/proc/self/ns/net").map_err(failed)?;
        if own.dev() != id.dev {
            return Err(NetnsError::NotANamespace(path.to_owned()));
        }
        Ok(Self(Arc::new(Handle { file, id })))
    }

    /// Makes a new, empty namespace. It is gone when the last handle is dropped and nothing is in it.
    ///
    /// # Errors
    /// No CAP_SYS_ADMIN, or no more namespaces allowed.
    pub fn create() -> Result<Self, NetnsError> {
        let made = std::thread::scope(|scope| {
            // A thread of its own, because there is no way back from `unshare`.
            let thread = scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
                Ok(()) => Self::open("/proc/thread-self/ns/net"),
                Err(error) => Err(NetnsError::Create {
                    source: error.into(),
                }),
            });
            thread.join()
        });
        made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The namespace that this thread is in.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn current() -> Result<Self, NetnsError> {
        HERE.with_borrow_mut(|here| match here {
            Some(netns) => Ok(netns.clone()),
            None => {
                let netns = Self::open("/proc/thread-self/ns/net")?;
                Ok(here.insert(netns).clone())
            }
        })
    }

    /// Which namespace this is.
    pub fn id(&self) -> NetnsId {
        self.0.id
    }

    /// Runs `f` on this thread inside the namespace and comes back. Sockets that `f` makes stay in the namespace; a
    /// process that it starts too. It may nest.
    ///
    /// `f` must not await (it cannot: it is no future) and should not block: nothing else runs on this thread meanwhile.
    /// If `f` panics, the thread comes back before it unwinds. If the thread cannot come back the process is aborted: it
    /// would go on with the sockets of one pod in the namespace of another.
    ///
    /// # Errors
    /// The namespace cannot be entered; `f` has not run.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T, NetnsError> {
        let home = Self::current()?;
        if home.id() == self.id() {
            return Ok(f());
        }
        self.enter().map_err(|source| NetnsError::Enter {
            id: self.id(),
            source,
        })?;
        let _back = Back(home);
        Ok(f())
    }

    fn enter(&self) -> io::Result<()> {
        setns(self.0.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
        HERE.set(Some(self.clone()));
        Ok(())
    }
}

impl NetnsId {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
        })
    }
}

impl PartialEq for Netns {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Netns {}

impl std::hash::Hash for Netns {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Netns({})", self.id())
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

/// Goes home when dropped, also while unwinding.
struct Back(Netns);

impl Drop for Back {
    fn drop(&mut self) {
        if let Err(error) = self.0.enter() {
            tracing::error!(%error, "cannot come back from a pod's network namespace");
            std::process::abort();
        }
    }
}
