//! Conditions as chains of rules.
//!
//! A rule is a conjunction of expressions and a verdict. `All` becomes expressions in a row; `Any` becomes a rule for each
//! alternative. What follows an `Any` is put into a chain of its own, to which each alternative jumps; so the text grows with the
//! sum of the alternatives and not with their product.

use heddle_routing::policy::Protocol;

use super::{
    condition::{Condition, Test},
    matches::{SetNames, Settled, matches},
};

/// The kernel follows 16 jumps (NFT_JUMP_STACK_SIZE); the base chain takes some.
const MAX_DEPTH: usize = 12;

/// Expressions in one rule; the kernel takes 128 with two or three for each of ours.
const MAX_EXPRESSIONS: usize = 24;

/// A condition that is nested too deeply for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

/// Chains that are being written.
pub(super) struct Chains<'a> {
    pub(super) names: SetNames<'a>,
    pub(super) list: Vec<Chain>,
}

/// A chain and its rules.
pub(super) struct Chain {
    pub(super) name: String,
    pub(super) rules: Vec<String>,
}

/// The beginning of a rule.
#[derive(Clone, Default)]
struct Prefix {
    expressions: Vec<String>,
    settled: Settled,
    depth: usize,
}

impl Chains<'_> {
    /// Adds rules to the chain `to`, so that `verdict` is given when the condition holds. New chains are named after `label`.
    pub(super) fn add(
        &mut self,
        to: usize,
        label: &str,
        condition: &Condition,
        verdict: &str,
    ) -> Result<(), TooDeep> {
        let (chains, rules) = (self.list.len(), self.list[to].rules.len());
        let condition = simplify(condition.clone());
        let done = self.emit(to, label, &Prefix::default(), &[condition], verdict);
        if done.is_err() {
            self.list.truncate(chains);
            self.list[to].rules.truncate(rules);
        }
        done
    }

    /// Opens an empty chain.
    pub(super) fn open(&mut self, name: String) -> usize {
        self.list.push(Chain {
            name,
            rules: Vec::new(),
        });
        self.list.len() - 1
    }

    fn emit(
        &mut self,
        to: usize,
        label: &str,
        prefix: &Prefix,
        conditions: &[Condition],
        verdict: &str,
    ) -> Result<(), TooDeep> {
        let Some((first, rest)) = conditions.split_first() else {
            let mut words = prefix.expressions.clone();
            words.push(verdict.to_owned());
            self.list[to].rules.push(words.join(" "));
            return Ok(());
        };
        if prefix.expressions.len() >= MAX_EXPRESSIONS {
            let (jump, next) = self.next_chain(label, prefix)?;
            self.emit(jump, label, &next, conditions, verdict)?;
            let verdict = format!("jump {}", self.list[jump].name);
            return self.emit(to, label, prefix, &[], &verdict);
        }
        match first {
            Condition::All(inner) => {
                let all: Vec<_> = inner.iter().chain(rest).cloned().collect();
                self.emit(to, label, prefix, &all, verdict)
            }
            Condition::Any(inner) => {
                let ways: Vec<_> = inner
                    .iter()
                    .map(|way| (prefix.clone(), vec![way.clone()]))
                    .collect();
                self.branch(to, label, prefix, ways, rest, verdict)
            }
            Condition::Leaf { test, negated } => {
                let found = matches(test, *negated, prefix.settled, &mut self.names);
                let ways = found
                    .into_iter()
                    .map(|found| (prefix.with(found.text, found.settled), Vec::new()))
                    .collect();
                self.branch(to, label, prefix, ways, rest, verdict)
            }
        }
    }

    /// Rules for each of the ways in which something holds, each followed by `rest`.
    fn branch(
        &mut self,
        to: usize,
        label: &str,
        prefix: &Prefix,
        ways: Vec<(Prefix, Vec<Condition>)>,
        rest: &[Condition],
        verdict: &str,
    ) -> Result<(), TooDeep> {
        if ways.len() < 2 || rest.is_empty() {
            for (prefix, mut conditions) in ways {
                conditions.extend_from_slice(rest);
                self.emit(to, label, &prefix, &conditions, verdict)?;
            }
            return Ok(());
        }
        let (after, next) = self.next_chain(label, prefix)?;
        self.emit(after, label, &next, rest, verdict)?;
        let verdict = format!("jump {}", self.list[after].name);
        for (mut prefix, conditions) in ways {
            prefix.depth = next.depth;
            self.emit(to, label, &prefix, &conditions, &verdict)?;
        }
        Ok(())
    }

    /// A chain for what follows `prefix`, in which what `prefix` has settled still holds.
    fn next_chain(&mut self, label: &str, prefix: &Prefix) -> Result<(usize, Prefix), TooDeep> {
        let depth = prefix.depth + 1;
        if depth > MAX_DEPTH {
            return Err(TooDeep);
        }
        let name = format!("{label}_{}", self.list.len());
        let next = Prefix {
            expressions: Vec::new(),
            settled: prefix.settled,
            depth,
        };
        Ok((self.open(name), next))
    }
}

impl Prefix {
    fn with(&self, expression: String, settled: Settled) -> Self {
        let mut next = self.clone();
        next.settled = settled;
        if !expression.is_empty() {
            next.expressions.push(expression);
        }
        next
    }
}

/// An equal condition with fewer, larger tests: blocks and ports that stand beside each other become one set.
fn simplify(condition: Condition) -> Condition {
    match condition {
        Condition::All(inner) => {
            let mut flat = Vec::new();
            for condition in inner.into_iter().map(simplify) {
                match condition {
                    Condition::All(inner) => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            if flat.contains(&Condition::Any(Vec::new())) {
                return Condition::Any(Vec::new());
            }
            let mut merged = merge(flat, true);
            // What settles family and protocol first, what branches last.
            merged.sort_by_key(rank);
            one_or(merged, Condition::All)
        }
        Condition::Any(inner) => {
            let mut flat = Vec::new();
            for condition in inner.into_iter().map(simplify) {
                match condition {
                    Condition::Any(inner) => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            if flat.contains(&Condition::All(Vec::new())) {
                return Condition::All(Vec::new());
            }
            one_or(merge(flat, false), Condition::Any)
        }
        leaf @ Condition::Leaf { .. } => leaf,
    }
}

fn one_or(mut conditions: Vec<Condition>, junction: fn(Vec<Condition>) -> Condition) -> Condition {
    match conditions.len() {
        1 => conditions.remove(0),
        _ => junction(conditions),
    }
}

fn rank(condition: &Condition) -> u8 {
    match condition {
        Condition::Leaf {
            test: Test::Protocol(_),
            negated: false,
        } => 0,
        Condition::Leaf { negated: false, .. } => 1,
        Condition::Leaf { .. } => 2,
        Condition::All(_) | Condition::Any(_) => 3,
    }
}

/// Joins tests into earlier ones where "in A or in B" (or, negated, "not in A and not in B") is one look-up in a set.
fn merge(conditions: Vec<Condition>, negated: bool) -> Vec<Condition> {
    let mut merged: Vec<Condition> = Vec::new();
    for condition in conditions {
        let joined = merged
            .iter_mut()
            .any(|earlier| join(earlier, &condition, negated));
        if !joined {
            merged.push(condition);
        }
    }
    merged
}

fn join(earlier: &mut Condition, later: &Condition, wanted: bool) -> bool {
    match (&mut *earlier, later) {
        (
            Condition::Leaf {
                test: a,
                negated: not_a,
            },
            Condition::Leaf {
                test: b,
                negated: not_b,
            },
        ) if *not_a == wanted && *not_b == wanted => join_tests(a, b),
        (Condition::All(a), Condition::All(b)) if !wanted => join_ports_of_one_protocol(a, b),
        (earlier, later) => *earlier == *later,
    }
}

fn join_tests(a: &mut Test, b: &Test) -> bool {
    match (a, b) {
        (Test::Ports(a), Test::Ports(b)) => {
            a.extend(b);
            true
        }
        (Test::Blocks(side_a, a), Test::Blocks(side_b, b)) if side_a == side_b => {
            a.extend(b);
            true
        }
        (a, b) => *a == *b,
    }
}

/// `UDP and port 53` or `UDP and port 80`: `UDP and port 53 or 80`.
fn join_ports_of_one_protocol(a: &mut [Condition], b: &[Condition]) -> bool {
    match (a, b) {
        ([protocol_a, ports_a], [protocol_b, ports_b]) => {
            let (Some(a), Some(b)) = (protocol_of(protocol_a), protocol_of(protocol_b)) else {
                return false;
            };
            a == b && is_ports(ports_a) && is_ports(ports_b) && join(ports_a, ports_b, false)
        }
        _ => false,
    }
}

fn protocol_of(condition: &Condition) -> Option<Protocol> {
    match condition {
        Condition::Leaf {
            test: Test::Protocol(protocol),
            negated: false,
        } => Some(*protocol),
        _ => None,
    }
}

fn is_ports(condition: &Condition) -> bool {
    matches!(
        condition,
        Condition::Leaf {
            test: Test::Ports(_),
            negated: false
        }
    )
}
