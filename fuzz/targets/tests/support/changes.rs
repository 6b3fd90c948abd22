//! Changed messages, the same ones in every run.

/// Bytes that parsers take for something.
const SPECIAL: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, b'\r', b'\n', b' ', b':', b'/'];

/// Makes new inputs out of known ones.
pub(crate) struct Changes {
    state: u64,
}

impl Changes {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// splitmix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// One of the seeds, changed once to four times.
    pub(crate) fn of(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, seeds);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        let to = at + self.below(16.min(bytes.len() - at.min(bytes.len())) + 1);
        let to = to.min(bytes.len());
        match self.below(8) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            2 if !bytes.is_empty() => bytes[at] = SPECIAL[self.below(SPECIAL.len())],
            3 => bytes.insert(at, SPECIAL[self.below(SPECIAL.len())]),
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..to)),
            6 => {
                let again = bytes[at..to].to_vec();
                bytes.splice(to..to, again);
            }
            _ => {
                // The end of another message.
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
        }
    }
}
