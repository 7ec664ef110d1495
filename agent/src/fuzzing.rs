//! What all fuzz targets share. The targets are modules `fuzzing` beside the code they test, where they see its private
//! parts; `fuzz/src/main.rs` lists them and `cargo xtask fuzz` runs them. A target panics when a property does not hold.
//!
//! Compiled with the feature `fuzzing` only.

/// Numbers that depend on the input alone: equal bytes are always tested in the same way, and inputs stay readable,
/// since no byte of theirs is taken for choices.
pub struct Dice(u64);

impl Dice {
    /// Dice for that input.
    pub fn of(data: &[u8]) -> Self {
        // FNV-1a.
        let hash = data
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Self(hash)
    }

    /// A number below `limit`, or 0.
    pub fn below(&mut self, limit: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }
}

/// Where `data` is cut when it arrives in pieces: positions in order, the last one its length.
pub fn cuts(data: &[u8]) -> Vec<usize> {
    let mut dice = Dice::of(data);
    // Single bytes, a few bytes, or a few pieces.
    let step = [1, 7, data.len() / 3 + 1][dice.below(3)];
    let mut cuts = Vec::new();
    let mut at = 0;
    while at < data.len() {
        at = (at + 1 + dice.below(step)).min(data.len());
        cuts.push(at);
    }
    cuts
}
