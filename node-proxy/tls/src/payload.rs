//! What a record is to hold, where it lies.

use std::io::IoSlice;

/// Bytes to be sent, in one place or in several that follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    /// The first of them has more than `skip` bytes, unless there is nothing.
    slices: &'a [IoSlice<'a>],
    /// So many of the first slice's bytes are no part of it.
    skip: usize,
    length: usize,
}

impl<'a> Payload<'a> {
    pub(crate) fn new(slices: &'a [IoSlice<'a>]) -> Self {
        let mut payload = Self {
            slices,
            skip: 0,
            length: slices.iter().map(|slice| slice.len()).sum(),
        };
        payload.normalize();
        payload
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes `length` bytes off the front, or all of it if that is less.
    pub(crate) fn split_to(&mut self, length: usize) -> Self {
        let length = length.min(self.length);
        let front = Self { length, ..*self };
        self.length -= length;
        self.skip += length;
        self.normalize();
        front
    }

    fn normalize(&mut self) {
        while let Some((first, rest)) = self.slices.split_first()
            && self.skip >= first.len()
        {
            self.skip -= first.len();
            self.slices = rest;
        }
    }

    /// All of it, if it lies in one place.
    pub(crate) fn in_one_place(&self) -> Option<&'a [u8]> {
        self.slices
            .first()
            .and_then(|first| first.get(self.skip..self.skip + self.length))
    }

    /// Copies it into `out`, which is as long.
    pub(crate) fn copy_to(&self, mut out: &mut [u8]) {
        let mut skip = self.skip;
        for slice in self.slices {
            let part = &slice[skip..];
            let (here, rest) = out.split_at_mut(part.len().min(out.len()));
            here.copy_from_slice(&part[..here.len()]);
            (out, skip) = (rest, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(payload: &Payload<'_>) -> Vec<u8> {
        let mut out = vec![0; payload.len()];
        payload.copy_to(&mut out);
        out
    }

    #[test]
    fn it_is_cut_anywhere_and_loses_nothing() {
        let slices = [&b""[..], b"ab", b"", b"cde", b""].map(IoSlice::new);
        for cut in 0..=6 {
            let mut rest = Payload::new(&slices);
            let front = rest.split_to(cut);
            assert_eq!(front.len(), cut.min(5));
            assert_eq!([copied(&front), copied(&rest)].concat(), b"abcde", "{cut}");
            assert_eq!(rest.is_empty(), cut >= 5);
        }
    }

    #[test]
    fn it_is_in_one_place_when_no_second_slice_has_a_part_of_it() {
        let slices = [&b"ab"[..], b"cde"].map(IoSlice::new);
        let mut rest = Payload::new(&slices);
        assert_eq!(rest.in_one_place(), None);
        assert_eq!(rest.split_to(1).in_one_place(), Some(&b"a"[..]));
        assert_eq!(rest.split_to(2).in_one_place(), None);
        assert_eq!(rest.in_one_place(), Some(&b"de"[..]));
    }
}
