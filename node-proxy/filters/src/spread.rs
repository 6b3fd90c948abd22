//! Numbers for choosing by weight.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use heddle_routing::{WeightedCluster, WeightedClusters};

/// 2⁶⁴ divided by the golden ratio, odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
/// A sequence begins anew after so many numbers.
const BLOCK: u32 = 128;
/// Most sequences of a worker. Splits come and go with the configuration; beyond this all begin anew.
const MOST: usize = 4096;

thread_local!(static SEQUENCES: RefCell<HashMap<usize, Sequence>> = RefCell::default());

/// The next number for this split on this worker. Each split has a sequence of its own: with one for all, what a request gets at a
/// first split would decide what it gets at a second one.
fn number(split: &WeightedClusters) -> u64 {
    let address = std::ptr::from_ref(split).addr();
    SEQUENCES.with_borrow_mut(|sequences| {
        if sequences.len() >= MOST && !sequences.contains_key(&address) {
            sequences.clear();
        }
        sequences.entry(address).or_default().next(rand::random)
    })
}

/// The cluster whose turn it is on this worker.
pub fn share_of(split: &WeightedClusters) -> &Arc<WeightedCluster> {
    let mut all = split.iter();
    match (all.next(), all.next()) {
        (Some(only), None) => only,
        _ => split.pick(number(split)),
    }
}

/// Numbers that are spread over the full range far more evenly than random ones (a Weyl sequence: H. Weyl, "Über die
/// Gleichverteilung von Zahlen mod. Eins", 1916). A backend that is to get a tenth of the requests gets ten of each hundred, give or take two,
/// where by chance alone it would often be six or fourteen. A new beginning by chance every now and then keeps two splits that are
/// passed one after the other from staying in step.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    last: u64,
    left: u32,
}

impl Sequence {
    pub(crate) fn next(&mut self, random: impl FnOnce() -> u64) -> u64 {
        if self.left == 0 {
            (self.last, self.left) = (random(), BLOCK);
        }
        self.left -= 1;
        self.last = self.last.wrapping_add(STEP);
        self.last
    }
}
