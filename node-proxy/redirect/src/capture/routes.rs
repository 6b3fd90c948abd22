//! Replies to connections that the proxy opened with a foreign address are routed to the proxy.
//!
//! A policy rule sends packets with mark 0x111 to a table in which every address is local, so that the kernel gives them to the
//! transparent socket that is bound to that address.

use std::path::Path;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType},
    rule::{RuleAction, RuleAttribute, RuleMessage},
};
use nix::errno::Errno;

use crate::{
    CommandError, MARK_MASK, Netns, PROXY_CONNMARK, ROUTE_TABLE,
    netlink::{self, NetlinkError},
};

/// Just before the main table's rule.
const PREFERENCE: u32 = 32764;

/// The kernel gives every namespace's loopback device this number.
const LOOPBACK: u32 = 1;

/// The families that the namespace has.
fn families(netns: &Netns) -> Result<Vec<AddressFamily>, CommandError> {
    // /proc/sys/net shows the namespace of the thread that reads.
    let v6 = netns.run(|| {
        let disabled = Path::new("/proc/sys/net/ipv6/conf/lo/disable_ipv6");
        std::fs::read_to_string(disabled).is_ok_and(|value| value.trim() == "0")
    })?;
    let mut families = vec![AddressFamily::Inet];
    families.extend(v6.then_some(AddressFamily::Inet6));
    Ok(families)
}

pub(super) fn install(netns: &Netns) -> Result<(), CommandError> {
    for family in families(netns)? {
        let add = RouteNetlinkMessage::NewRoute(route(family));
        netlink::tell(netns, add, NLM_F_CREATE | NLM_F_REPLACE)
            .map_err(failed("add the route", family))?;
        // Without EXCL, the kernel would add the same rule a second time.
        let add = RouteNetlinkMessage::NewRule(rule(family));
        unless(
            Errno::EEXIST,
            netlink::tell(netns, add, NLM_F_CREATE | NLM_F_EXCL),
        )
        .map_err(failed("add the rule", family))?;
    }
    Ok(())
}

pub(super) fn remove(netns: &Netns) -> Result<(), CommandError> {
    for family in families(netns)? {
        let delete = RouteNetlinkMessage::DelRule(rule(family));
        unless(Errno::ENOENT, netlink::tell(netns, delete, 0))
            .map_err(failed("delete the rule", family))?;
        let delete = RouteNetlinkMessage::DelRoute(route(family));
        unless(Errno::ESRCH, netlink::tell(netns, delete, 0))
            .map_err(failed("delete the route", family))?;
    }
    Ok(())
}

pub(super) fn are_installed(netns: &Netns) -> Result<bool, CommandError> {
    for family in families(netns)? {
        if !has_rule(netns, family)? || !has_route(netns, family)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `ip rule add fwmark 0x111/0xfff pref 32764 lookup 100`
fn rule(family: AddressFamily) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = family;
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::Priority(PREFERENCE),
        RuleAttribute::FwMark(PROXY_CONNMARK),
        RuleAttribute::FwMask(MARK_MASK),
        RuleAttribute::Table(ROUTE_TABLE),
    ];
    rule
}

/// `ip route add local default dev lo table 100`
fn route(family: AddressFamily) -> RouteMessage {
    let mut route = RouteMessage::default();
    route.header.address_family = family;
    route.header.kind = RouteType::Local;
    route.header.scope = RouteScope::Host;
    route.header.protocol = RouteProtocol::Boot;
    route.attributes = vec![
        RouteAttribute::Oif(LOOPBACK),
        RouteAttribute::Table(ROUTE_TABLE),
    ];
    route
}

fn has_rule(netns: &Netns, family: AddressFamily) -> Result<bool, CommandError> {
    let mut every = RuleMessage::default();
    every.header.family = family;
    let wanted = rule(family);
    let found = netlink::list(netns, RouteNetlinkMessage::GetRule(every))
        .map_err(failed("list the rules", family))?;
    Ok(found.iter().any(|each| match each {
        RouteNetlinkMessage::NewRule(each) => {
            each.header.family == family
                && each.header.action == wanted.header.action
                && contains_all(&each.attributes, &wanted.attributes)
        }
        _ => false,
    }))
}

fn has_route(netns: &Netns, family: AddressFamily) -> Result<bool, CommandError> {
    let mut every = RouteMessage::default();
    every.header.address_family = family;
    let wanted = route(family);
    let found = netlink::list(netns, RouteNetlinkMessage::GetRoute(every))
        .map_err(failed("list the routes", family))?;
    Ok(found.iter().any(|each| match each {
        RouteNetlinkMessage::NewRoute(each) => {
            each.header.address_family == family
                && each.header.kind == wanted.header.kind
                && each.header.destination_prefix_length == 0
                && contains_all(&each.attributes, &wanted.attributes)
        }
        _ => false,
    }))
}

fn contains_all<T: PartialEq>(found: &[T], wanted: &[T]) -> bool {
    wanted.iter().all(|each| found.contains(each))
}

/// What is already as it should be is no error.
fn unless(content: Errno, result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match result {
        Err(error) if error.is(content) => Ok(()),
        result => result,
    }
}

fn failed(action: &'static str, family: AddressFamily) -> impl Fn(NetlinkError) -> CommandError {
    move |error| match error {
        NetlinkError::Netns(error) => error.into(),
        NetlinkError::Io(source) => CommandError::Routing {
            action,
            family: if family == AddressFamily::Inet6 {
                "IPv6"
            } else {
                "IPv4"
            },
            source,
        },
    }
}
