//! Damaged files, for tests.

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end.max(1)
    }
}

/// `bytes` with something wrong: bits flipped, a few bytes of one value, some doubled, some left out, the rest cut off.
pub(crate) fn mutated(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed * 2 + 1);
    let mut bytes = bytes.to_vec();
    // Headers are short: half of the changes are made at the start or the end.
    let place = |numbers: &mut Numbers, len: usize| match numbers.below(4) {
        0 => numbers.below(len.min(160)),
        1 => len - 1 - numbers.below(len.min(160)),
        _ => numbers.below(len),
    };
    match numbers.below(8) {
        0 => bytes.truncate(place(&mut numbers, bytes.len())),
        1 => {
            let at = place(&mut numbers, bytes.len());
            let part = bytes[at..(at + 1 + numbers.below(40)).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
        2 => {
            let at = place(&mut numbers, bytes.len());
            let end = (at + 1 + numbers.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        3 => {
            let at = place(&mut numbers, bytes.len());
            let end = (at + 8).min(bytes.len());
            bytes[at..end].fill([0, 0xff][numbers.below(2)]);
        }
        _ => {
            for _ in 0..1 + numbers.below(3) {
                let at = place(&mut numbers, bytes.len());
                bytes[at] ^= 1 << numbers.below(8);
            }
        }
    }
    bytes
}
