//! IP addresses as the hooks see them: four words in network byte order, IPv4 in its mapped form.

/// An IPv6 address, or an IPv4 one as `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub [u32; 4]);

impl Address {
    /// From a word in network byte order, as `user_ip4` and friends hold it.
    #[inline(always)]
    pub const fn from_v4(word: u32) -> Self {
        Self([0, 0, 0xffff_u32.to_be(), word])
    }

    /// From 16 bytes in network byte order.
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        let mut words = [0; 4];
        let mut index = 0;
        while index < 4 {
            let at = index * 4;
            words[index] = u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
            index += 1;
        }
        Self(words)
    }

    /// IPv4, perhaps mapped?
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == 0xffff_u32.to_be()
    }

    /// Loopback or unspecified: 127/8, 0.0.0.0, ::1, :: (connecting to an unspecified address means
    /// loopback, RFC 1122 section 3.2.1.3 and Linux' behaviour).
    #[inline(always)]
    pub const fn is_local_only(&self) -> bool {
        if self.is_v4() {
            let word = u32::from_be(self.0[3]);
            word >> 24 == 127 || word == 0
        } else {
            self.0[0] == 0 && self.0[1] == 0 && self.0[2] == 0 && u32::from_be(self.0[3]) <= 1
        }
    }
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, four integers, no padding.
unsafe impl aya::Pod for Address {}
