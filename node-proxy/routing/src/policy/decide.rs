//! The decision.
//!
//! Conditions are judged in three values: holds, does not hold, cannot be known. It cannot be known whether a condition
//! on a request holds for bytes that are not read as HTTP, on whose address a missing set would stand, or what a server
//! would take an ambiguous path for. What allows must be known to hold; what refuses needs only not be known to fail.
//! So a gap in knowledge never widens access, negated or not.

use std::{cell::OnceCell, net::IpAddr};

use super::{
    AddressSets, Decision, Permission, Policy, Principal, Rbac, RbacAction, Subject,
    path::Readings, truth::Truth,
};
use crate::{HeaderMatcher, PathMatcher, StringMatcher};

impl Rbac {
    /// Decides about a connection or a request.
    pub fn decide(&self, subject: &Subject<'_>, sets: &AddressSets) -> Decision {
        let case = Case::new(subject, sets);
        let matched =
            self.policies
                .iter()
                .find(|policy| match (self.action, case.policy(policy)) {
                    (_, Truth::Yes) => true,
                    (action, Truth::Unknown) => action == RbacAction::Deny,
                    (_, Truth::No) => false,
                });
        let policy = matched.map(|policy| policy.name.clone());
        match (self.action, policy) {
            (RbacAction::Allow, Some(policy)) => Decision::Allow {
                policy: Some(policy),
            },
            (RbacAction::Allow, None) => Decision::Deny { policy: None },
            (RbacAction::Deny, Some(policy)) => Decision::Deny {
                policy: Some(policy),
            },
            (RbacAction::Deny, None) => Decision::Allow { policy: None },
        }
    }
}

impl Decision {
    /// Whether it is allowed.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

/// One subject, with what is worked out about it on demand.
struct Case<'a> {
    subject: &'a Subject<'a>,
    sets: &'a AddressSets,
    source: IpAddr,
    destination: IpAddr,
    identity: OnceCell<Option<String>>,
    path: OnceCell<Readings<'a>>,
}

impl<'a> Case<'a> {
    fn new(subject: &'a Subject<'a>, sets: &'a AddressSets) -> Self {
        Self {
            subject,
            sets,
            // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
            source: subject.source.to_canonical(),
            destination: subject.destination.to_canonical(),
            identity: OnceCell::new(),
            path: OnceCell::new(),
        }
    }

    fn policy(&self, policy: &Policy) -> Truth {
        let done = Truth::any(policy.permissions.iter().map(|p| self.permission(p)));
        if done == Truth::No {
            return Truth::No;
        }
        let by = Truth::any(policy.principals.iter().map(|p| self.principal(p)));
        Truth::all([done, by].into_iter())
    }

    fn permission(&self, permission: &Permission) -> Truth {
        match permission {
            Permission::Any => Truth::Yes,
            Permission::All(all) => Truth::all(all.iter().map(|p| self.permission(p))),
            Permission::OneOf(any) => Truth::any(any.iter().map(|p| self.permission(p))),
            Permission::Not(inner) => self.permission(inner).not(),
            Permission::DestinationBlock(block) => block.contains(&self.destination).into(),
            Permission::DestinationSet(name) => self.set(name, self.destination),
            Permission::DestinationPorts(first, last) => {
                (*first..=*last).contains(&self.subject.port).into()
            }
            Permission::Protocol(protocol) => (*protocol == self.subject.protocol).into(),
            Permission::Header(matcher) => self.header(matcher),
            Permission::Path(matcher) => self.path(matcher),
        }
    }

    fn principal(&self, principal: &Principal) -> Truth {
        match principal {
            Principal::Any => Truth::Yes,
            Principal::All(all) => Truth::all(all.iter().map(|p| self.principal(p))),
            Principal::OneOf(any) => Truth::any(any.iter().map(|p| self.principal(p))),
            Principal::Not(inner) => self.principal(inner).not(),
            Principal::SourceBlock(block) => block.contains(&self.source).into(),
            Principal::SourceSet(name) => self.set(name, self.source),
            Principal::Authenticated(matcher) => self.authenticated(matcher.as_ref()),
        }
    }

    fn set(&self, name: &str, address: IpAddr) -> Truth {
        self.sets
            .find(name, address)
            .map_or(Truth::Unknown, Truth::from)
    }

    fn authenticated(&self, matcher: Option<&StringMatcher>) -> Truth {
        let identity = self
            .identity
            .get_or_init(|| self.subject.identity.map(ToString::to_string));
        let Some(identity) = identity else {
            return Truth::No;
        };
        matcher.is_none_or(|m| m.matches(identity)).into()
    }

    fn header(&self, matcher: &HeaderMatcher) -> Truth {
        let Some(request) = self.subject.request else {
            return Truth::Unknown;
        };
        // An expression cannot judge what is not text; a server may still read it.
        if let (Some(StringMatcher::Regex(_)), Some(value)) =
            (&matcher.value, matcher.value_of(request))
            && std::str::from_utf8(&value).is_err()
        {
            return Truth::Unknown;
        }
        matcher.matches(request).into()
    }

    fn path(&self, matcher: &PathMatcher) -> Truth {
        let Some(request) = self.subject.request else {
            return Truth::Unknown;
        };
        self.path
            .get_or_init(|| Readings::of(request.uri.path()))
            .judge(matcher)
    }
}
