//! Replies to connections that the proxy opened with a foreign address are routed to the proxy.
//!
//! A policy rule sends packets with mark 0x111 to a table in which every address is local, so that the kernel gives them to the
//! transparent socket that is bound to that address.

use std::path::Path;

use crate::{CommandError, MARK_MASK, Netns, PROXY_CONNMARK, ROUTE_TABLE, command::Program};

/// Just before the main table's rule.
const PREFERENCE: u32 = 32764;

struct Family {
    flag: &'static str,
    everything: &'static str,
}

const V4: Family = Family {
    flag: "-4",
    everything: "0.0.0.0/0",
};
const V6: Family = Family {
    flag: "-6",
    everything: "::/0",
};

/// The families that the namespace has.
fn families(netns: &Netns) -> Result<Vec<Family>, CommandError> {
    // /proc/sys/net shows the namespace of the thread that reads.
    let v6 = netns.run(|| {
        let disabled = Path::new("/proc/sys/net/ipv6/conf/lo/disable_ipv6");
        std::fs::read_to_string(disabled).is_ok_and(|value| value.trim() == "0")
    })?;
    Ok(if v6 { vec![V4, V6] } else { vec![V4] })
}

fn rule() -> String {
    format!("fwmark {PROXY_CONNMARK:#x}/{MARK_MASK:#x} pref {PREFERENCE} lookup {ROUTE_TABLE}")
}

pub(super) fn install(netns: &Netns) -> Result<(), CommandError> {
    for family in families(netns)? {
        let mut commands = format!(
            "route replace local {} dev lo table {ROUTE_TABLE}\n",
            family.everything
        );
        if !has_rule(netns, &family)? {
            commands += &format!("rule add {}\n", rule());
        }
        Program::Ip.tell(netns, &[family.flag, "-batch", "-"], &commands)?;
    }
    Ok(())
}

pub(super) fn remove(netns: &Netns) -> Result<(), CommandError> {
    for family in families(netns)? {
        let mut commands = String::new();
        if has_rule(netns, &family)? {
            commands += &format!("rule del {}\n", rule());
        }
        if has_route(netns, &family)? {
            commands += &format!(
                "route del local {} dev lo table {ROUTE_TABLE}\n",
                family.everything
            );
        }
        if !commands.is_empty() {
            Program::Ip.tell(netns, &[family.flag, "-batch", "-"], &commands)?;
        }
    }
    Ok(())
}

pub(super) fn are_installed(netns: &Netns) -> Result<bool, CommandError> {
    for family in families(netns)? {
        if !has_rule(netns, &family)? || !has_route(netns, &family)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_rule(netns: &Netns, family: &Family) -> Result<bool, CommandError> {
    let preference = PREFERENCE.to_string();
    let rules = Program::Ip.tell(
        netns,
        &[family.flag, "rule", "show", "pref", &preference],
        "",
    )?;
    let wanted = format!("fwmark {PROXY_CONNMARK:#x}/{MARK_MASK:#x} lookup {ROUTE_TABLE}");
    Ok(rules.contains(&wanted))
}

fn has_route(netns: &Netns, family: &Family) -> Result<bool, CommandError> {
    let table = ROUTE_TABLE.to_string();
    // A table that has never had a route is an error to `ip`, not an empty answer.
    let routes = Program::Ip.ask(netns, &[family.flag, "route", "show", "table", &table], "")?;
    Ok(routes.stdout.contains("local default dev lo"))
}
