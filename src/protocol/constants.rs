// SPDX-License-Identifier: GPL-2.0

//! Lengths, limits and the clock they are measured with.
//!
//! All protocol times are counted on a clock that never goes backwards and
//! keeps counting through suspend: keys must age while the machine sleeps.

/// Bytes in a Curve25519 public or secret key.
pub const KEY_LEN: usize = 32;
/// Bytes in a ChaCha20-Poly1305 key and in a preshared key.
pub const SYMMETRIC_KEY_LEN: usize = 32;
/// Bytes of a Poly1305 tag, by which every sealed text is longer.
pub const TAG_LEN: usize = 16;
/// Bytes in an unkeyed BLAKE2s digest.
pub const HASH_LEN: usize = 32;
/// Bytes BLAKE2s consumes at once; the block size HMAC pads its key to.
pub const HASH_BLOCK_LEN: usize = 64;
/// Bytes in a TAI64N label.
pub const TIMESTAMP_LEN: usize = 12;
/// Bytes in `mac1` and in `mac2`.
pub const MAC_LEN: usize = 16;
/// Bytes in a cookie. It keys `mac2`.
pub const COOKIE_LEN: usize = 16;
/// Bytes in the nonce of a cookie reply (XChaCha20-Poly1305).
pub const COOKIE_NONCE_LEN: usize = 24;

/// Nanoseconds in a second.
pub const NSEC_PER_SEC: u64 = 1_000_000_000;
/// Milliseconds in a second.
pub const MSEC_PER_SEC: u64 = 1_000;

/// Seconds after which the initiator of a session replaces it.
pub const REKEY_AFTER_TIME: u64 = 120;
/// Seconds after which a session is neither sent nor received with.
pub const REJECT_AFTER_TIME: u64 = 180;
/// Seconds between attempts at a handshake, at the least.
pub const REKEY_TIMEOUT: u64 = 5;
/// Milliseconds below which the random delay on top of a handshake timer
/// stays, so that two peers that lost each other do not retry in step for ever.
pub const REKEY_TIMEOUT_JITTER_MS: u32 = 333;
/// Seconds of silence after receiving data that a keepalive breaks.
pub const KEEPALIVE_TIMEOUT: u64 = 10;
/// Seconds for which the retransmission timer keeps trying.
pub const REKEY_ATTEMPT_TIME: u64 = 90;
/// Retransmissions that fit in [`REKEY_ATTEMPT_TIME`].
pub const MAX_HANDSHAKE_ATTEMPTS: u32 = (REKEY_ATTEMPT_TIME / REKEY_TIMEOUT) as u32;

/// Bits in the replay bitmap of a session.
pub const REPLAY_BITS: usize = 8192;
/// Bits in one word of that bitmap. One word is always in transit, being
/// cleared for what comes next, and does not count towards the window.
pub const REPLAY_WORD_BITS: usize = u64::BITS as usize;
/// How far behind the highest counter seen a packet may still arrive.
pub const REPLAY_WINDOW: u64 = (REPLAY_BITS - REPLAY_WORD_BITS) as u64;

/// Packets after which either side replaces a session: well before nonces run
/// out and while the AEAD's bounds hold comfortably.
pub const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
/// First counter that is neither sent nor accepted. It leaves a whole replay
/// window below 2^64, so that window arithmetic cannot wrap.
pub const REJECT_AFTER_MESSAGES: u64 = u64::MAX - REPLAY_WINDOW - 1;

/// Initiations a second that a responder takes from one peer.
pub const INITIATIONS_PER_SECOND: u64 = 50;

/// Seconds for which a responder's cookie secret is used.
pub const COOKIE_SECRET_MAX_AGE: u64 = 120;
/// Seconds by which an initiator gives a cookie up early, to allow for the time
/// the reply was under way.
pub const COOKIE_SECRET_LATENCY: u64 = 5;

/// Payloads are padded with zeros to a multiple of this many bytes.
pub const PADDING: usize = 16;

/// Peers on one device.
pub const MAX_PEERS_PER_DEVICE: usize = 1 << 20;
/// Handshake messages waiting for a worker.
pub const MAX_QUEUED_HANDSHAKES: usize = 4096;
/// Handshake messages waiting from which on cookies are demanded.
pub const UNDER_LOAD_HANDSHAKES: usize = MAX_QUEUED_HANDSHAKES / 8;
/// Seconds for which the demand outlasts the queue's shrinking.
pub const UNDER_LOAD_LINGER: u64 = 1;
/// Packets a peer holds back while it has no session.
pub const MAX_STAGED_PACKETS: usize = 128;
/// Packets in one direction between the network stack and the workers.
pub const MAX_QUEUED_PACKETS: usize = 1024;

/// Type-of-service byte of handshake packets: AF41, without ECN.
pub const HANDSHAKE_TOS: u8 = 0x88;

/// A point in time: nanoseconds on a boottime-like clock.
///
/// The clock starts at an arbitrary point, and an `Instant` may be meant to lie
/// before it ([`Instant::before`]); differences are therefore taken modulo 2^64
/// and read as signed, which is right for spans up to 292 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Instant(
    /// Nanoseconds.
    pub u64,
);

impl Instant {
    /// Nanoseconds that went by from `earlier` to `self`; negative if `self`
    /// comes first.
    #[inline]
    pub const fn nanos_since(self, earlier: Instant) -> i64 {
        self.0.wrapping_sub(earlier.0) as i64
    }

    /// Whether `seconds` or more have gone by since `self`, it being `now`.
    #[inline]
    pub const fn has_expired(self, seconds: u64, now: Instant) -> bool {
        now.nanos_since(self.after(seconds)) >= 0
    }

    /// The instant `seconds` later.
    #[inline]
    pub const fn after(self, seconds: u64) -> Instant {
        Instant(self.0.wrapping_add(seconds.wrapping_mul(NSEC_PER_SEC)))
    }

    /// The instant `seconds` earlier.
    ///
    /// `now.before(REKEY_TIMEOUT + 1)` is the value of "last handshake sent"
    /// that lets a new one out at once.
    #[inline]
    pub const fn before(self, seconds: u64) -> Instant {
        Instant(self.0.wrapping_sub(seconds.wrapping_mul(NSEC_PER_SEC)))
    }
}

/// Zero bytes to append to a payload of `len` bytes.
///
/// The padded payload never exceeds `mtu` (0 means unknown): what does not fit
/// a whole multiple is padded up to the MTU instead. A payload longer than the
/// MTU is to be segmented later; its last segment counts.
#[inline]
pub const fn padding_for(len: usize, mtu: usize) -> usize {
    let last = match len.checked_rem(mtu) {
        Some(rest) => rest,
        None => len,
    };
    let up = last.wrapping_neg() % PADDING;
    if mtu == 0 {
        return up;
    }
    let room = mtu.saturating_sub(last);
    if up < room {
        up
    } else {
        room
    }
}
