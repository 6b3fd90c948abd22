//! Numbers for choosing by weight.

use std::cell::Cell;

/// 2⁶⁴ divided by the golden ratio, odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The next of this worker's numbers: each stretch of them is spread over the full range far more evenly than random numbers are
/// (a Weyl sequence: H. Weyl, "Über die Gleichverteilung von Zahlen mod. Eins", 1916). A backend that is to get a tenth of the requests
/// then gets ten of each hundred, give or take one, where by chance alone it would often be six or fourteen. Where the sequence
/// begins is chance, so that workers and restarts differ.
pub(crate) fn number() -> u64 {
    thread_local!(static LAST: Cell<u64> = Cell::new(rand::random()));
    LAST.with(|last| {
        let next = last.get().wrapping_add(STEP);
        last.set(next);
        next
    })
}
