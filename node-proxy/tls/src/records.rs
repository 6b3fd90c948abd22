//! Memory that records are sealed into.

/// Records one behind the other. What they took is not given back when they are cleared, and not filled with zeros again.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Its first `used` bytes are records.
    memory: Vec<u8>,
    used: usize,
}

impl Records {
    pub(crate) const NONE: Self = Self {
        memory: Vec::new(),
        used: 0,
    };

    pub(crate) fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.memory[..self.used]
    }

    /// `length` bytes more, which the caller overwrites: they are anything.
    pub(crate) fn add(&mut self, length: usize) -> &mut [u8] {
        let begin = self.used;
        self.used += length;
        if self.memory.len() < self.used {
            self.memory.resize(self.used, 0);
        }
        &mut self.memory[begin..self.used]
    }

    /// What is sealed already.
    pub(crate) fn extend(&mut self, records: &[u8]) {
        self.memory.truncate(self.used);
        self.memory.extend_from_slice(records);
        self.used = self.memory.len();
    }

    /// Keeps the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.used = self.used.min(length);
    }
}
