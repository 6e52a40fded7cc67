//! FNV-1a, the same in every build and every version, which std's hasher does not promise.
//!
//! It need not withstand an attacker: it names files in directories of one user and finds torn writes.

/// Returns the 64-bit hash of some bytes.
pub(crate) fn fnv64(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Returns the 128-bit hash of a key, folded to 16 hexadecimal digits.
pub(crate) fn short_hash(key: &str) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let full = key.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("{:016x}", (full >> 64) as u64 ^ full as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_same_hash_for_ever() {
        // Frozen: another hash would lose what a killed keeper of an older version left.
        assert_eq!(short_hash(""), "0eda065b652ec4cf");
        assert_ne!(short_hash("a"), short_hash("b"));
        // The reference values of the algorithm's authors.
        assert_eq!((fnv64(*b""), fnv64(*b"a")), (0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c));
    }
}
