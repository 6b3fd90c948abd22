//! The resources of a large response as bytes, of which streams that are sent the same hold one copy.
//!
//! When the control plane has been away, hundreds of clients come back at once, and each is sent everything. What they are sent differs in
//! nothing but the nonce.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use heddle_proto::varint;
use heddle_snapshot::Resource;

use crate::{session::Variant, wire};

/// Blocks known at a time. More are needed only if streams of many kinds come at once.
const KEPT: usize = 64;

/// The field `resources` of a response.
#[derive(Debug)]
struct Block {
    variant: Variant,
    resources: Vec<Arc<Resource>>,
    bytes: Vec<u8>,
}

impl Block {
    fn is_of(&self, variant: Variant, resources: &[Arc<Resource>]) -> bool {
        // By address: what is equal is the same in a snapshot, and what is not costs nothing but another block.
        let mut pairs = self.resources.iter().zip(resources);
        self.variant == variant
            && self.resources.len() == resources.len()
            && pairs.all(|(own, other)| Arc::ptr_eq(own, other))
    }
}

/// Finds the copy of a block that another stream is being sent.
#[derive(Debug, Default)]
pub struct Blocks {
    // Weak: a block goes with the last stream that is sent it.
    known: Mutex<VecDeque<Weak<Block>>>,
}

/// Its part that clients of this variant get.
fn element(variant: Variant, resource: &Resource) -> &Bytes {
    match variant {
        Variant::StateOfTheWorld => &resource.any,
        Variant::Delta => &resource.delta,
    }
}

/// Bytes that these resources take in a response.
pub(crate) fn length(variant: Variant, resources: &[Arc<Resource>]) -> usize {
    let lengths = resources
        .iter()
        .map(|resource| element(variant, resource).len());
    lengths
        .map(|length| 1 + varint::length(length) + length)
        .sum()
}

/// Puts these resources behind what a response begins with.
pub(crate) fn put(variant: Variant, resources: &[Arc<Resource>], buffer: &mut Vec<u8>) {
    for resource in resources {
        let element = element(variant, resource);
        buffer.push(wire::RESOURCES);
        varint::put(element.len(), buffer);
        buffer.extend_from_slice(element);
    }
}

impl Blocks {
    /// What [`put`] would put, of which others may hold the same copy.
    pub(crate) fn share(&self, variant: Variant, resources: &[Arc<Resource>]) -> Bytes {
        // Held while encoding, on purpose: whoever wants the same waits for it instead of repeating the work.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|block| block.strong_count() > 0);
        let mut alive = known.iter().filter_map(Weak::upgrade);
        if let Some(block) = alive.find(|block| block.is_of(variant, resources)) {
            return Bytes::from_owner(Shared(block));
        }
        drop(alive);
        let mut bytes = Vec::with_capacity(length(variant, resources));
        put(variant, resources, &mut bytes);
        let block = Arc::new(Block {
            variant,
            resources: resources.to_vec(),
            bytes,
        });
        if known.len() == KEPT {
            known.pop_front();
        }
        known.push_back(Arc::downgrade(&block));
        Bytes::from_owner(Shared(block))
    }
}

/// `Arc` is no owner of bytes by itself.
struct Shared(Arc<Block>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use heddle_proto::{envoy::config::core::v3::Locality, type_url};
    use heddle_snapshot::Scope;

    use super::*;

    /// Resources of about 100 bytes each.
    pub(crate) fn resources(count: usize) -> Vec<Arc<Resource>> {
        let of = |number: usize| {
            let message = Locality::default();
            let name = format!("name-{number}");
            Resource::new(type_url::LISTENER, name, Scope::Nodes, Vec::new(), &message)
        };
        (0..count).map(|number| Arc::new(of(number))).collect()
    }

    #[test]
    fn streams_that_are_sent_the_same_hold_one_copy_of_it() {
        let (blocks, all) = (Blocks::default(), resources(100));
        let first = blocks.share(Variant::Delta, &all);
        let second = blocks.share(Variant::Delta, &all);
        assert_eq!(first.as_ptr(), second.as_ptr());
        let mut expected = Vec::new();
        put(Variant::Delta, &all, &mut expected);
        assert_eq!(first, expected);
        assert_eq!(first.len(), length(Variant::Delta, &all));
    }

    #[test]
    fn other_resources_or_the_same_for_another_protocol_are_another_block() {
        let (blocks, all) = (Blocks::default(), resources(100));
        let first = blocks.share(Variant::Delta, &all);
        for (variant, resources) in [
            (Variant::StateOfTheWorld, &all[..]),
            (Variant::Delta, &all[1..]),
            (Variant::Delta, &resources(100)),
        ] {
            let other = blocks.share(variant, resources);
            assert_ne!(first.as_ptr(), other.as_ptr());
        }
    }

    #[test]
    fn a_block_goes_with_the_last_stream_that_is_sent_it() {
        let (blocks, all) = (Blocks::default(), resources(100));
        for size in 1..all.len() {
            drop(blocks.share(Variant::Delta, &all[..size]));
        }
        assert_eq!(blocks.known.lock().unwrap().len(), 1);
        assert_eq!(Arc::strong_count(&all[0]), 1, "something is kept");
    }

    #[test]
    fn no_more_blocks_are_known_than_are_of_use() {
        let (blocks, all) = (Blocks::default(), resources(KEPT * 2));
        let held = (1..all.len()).map(|size| blocks.share(Variant::Delta, &all[..size]));
        let held: Vec<_> = held.collect();
        assert_eq!(blocks.known.lock().unwrap().len(), KEPT);
        drop(held);
    }
}
