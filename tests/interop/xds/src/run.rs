//! Puts a server to a rule.

use std::time::Duration;

use anyhow::Result;

use crate::{
    Variant, World,
    client::{Client, PATIENCE, connect},
    rules::Rule,
    server::Server,
};

/// A rule's stage: the server under test, and the way its clients speak.
pub struct Scene<'a> {
    /// The server.
    pub server: &'a dyn Server,
    /// How its clients speak.
    pub variant: Variant,
    /// How long a response may take.
    pub patience: Duration,
}

impl std::fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.variant.name())
    }
}

impl Scene<'_> {
    /// Serves this from now on.
    pub async fn set(&self, world: World) -> Result<()> {
        self.server.set(&world).await
    }

    /// A client on a connection of its own.
    pub async fn client(&self, node: &str) -> Result<Client> {
        let channel = connect(self.server.address()).await?;
        Ok(Client::new(channel, self.variant, node, self.patience))
    }

    /// A client of a server that serves this.
    pub async fn client_of(&self, world: World) -> Result<Client> {
        self.set(world).await?;
        self.client("node-a").await
    }
}

/// A rule that a server is known to break.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// The rule.
    pub rule: &'static str,
    /// Where it is broken; empty means everywhere.
    pub variants: &'static [Variant],
    /// What the server does instead.
    pub reason: &'static str,
    /// It is broken each time, not only by chance.
    pub certain: bool,
}

/// How long a rule that is known to be broken is given to hold.
const DEVIATION_PATIENCE: Duration = Duration::from_secs(3);

/// Runs a rule, and panics unless it holds, or unless it is broken where that is known.
pub async fn check(rule: &Rule, variant: Variant, server: &dyn Server, known: &[Deviation]) {
    let deviation = known.iter().find(|deviation| {
        deviation.rule == rule.name
            && (deviation.variants.is_empty() || deviation.variants.contains(&variant))
    });
    let scene = Scene {
        server,
        variant,
        patience: deviation.map_or(PATIENCE, |_| DEVIATION_PATIENCE),
    };
    match ((rule.check)(&scene).await, deviation) {
        (Ok(()), None) => {}
        (Ok(()), Some(deviation)) if !deviation.certain => {
            println!("known deviation: {} (not this time)", deviation.reason);
        }
        (Err(broken), None) => panic!("{}, {}: {broken:#}", rule.name, variant.name()),
        (Err(broken), Some(deviation)) => {
            println!("known deviation: {} ({broken:#})", deviation.reason);
        }
        (Ok(()), Some(deviation)) => panic!(
            "{}, {}: holds, but is listed as a known deviation ({}); take it off the list",
            rule.name,
            variant.name(),
            deviation.reason
        ),
    }
}
