//! Where the strings are: the positions of all quotes and of all that is unusual within strings.
//!
//! One pass over the text, 64 bytes at a time, before anything is understood. It gives the walk two lists:
//! quotes that open or close a string, and `specials`, backslashes and control characters within strings, so that
//! the walk never looks at the body of an ordinary string. It also says whether the text is UTF-8.
//!
//! A quote counts as escaped by the backslashes before it wherever they are; outside of strings that is wrong,
//! but there a backslash is a mistake that the walk meets first. Both lists are in order and end with [`END`],
//! twice, so that an unclosed string has an end that no text has.
//!
//! The pass exists three times, for AVX-512, for AVX2 and in plain Rust; which one runs is decided once per parser
//! from the processor, and a test holds them equal. They differ only in how 64 bytes become four masks and how a
//! mask becomes positions. Compiling for one processor was rejected: the binary is to run everywhere.
//!
//! This is the one file of the project with `unsafe`. Each use says why it is sound; nothing here depends on
//! what the text says, only on its length.
#![allow(unsafe_code)]

use super::node::room_for;
use super::reason::{Malformed, Reason};

/// Beyond every position.
pub(super) const END: u32 = u32::MAX;

/// Bytes of text per step.
const BLOCK: usize = 64;

/// Room behind the last position that a step may write to: one per byte of a block, and two for the end.
const SLACK: usize = BLOCK + 2;

/// Of the blocks of CloudTrail events, real ones and ours, at most three in a thousand have more quotes.
const FEW: usize = 12;

/// A list with more room than this is given back when an event does not need it.
const POSITIONS_KEPT_MAX: usize = 1 << 16;

/// Positions in order, in memory that is kept from event to event.
#[derive(Default)]
struct Positions {
    /// Always initialised to its whole length, which is room, not content.
    room: Vec<u32>,
    filled: usize,
}

impl Positions {
    /// Forgets the last event and makes room for `count_max` positions. New room is zeroed by the system when it
    /// is touched, so that room for the worst case costs nothing until it is needed.
    fn start(&mut self, count_max: usize) {
        let wanted = count_max + SLACK;
        let too_large = self.room.len() > POSITIONS_KEPT_MAX && wanted <= POSITIONS_KEPT_MAX;
        if wanted > self.room.len() || too_large {
            self.room = vec![0; room_for(wanted, POSITIONS_KEPT_MAX)];
        }
        self.filled = 0;
    }

    /// Adds the position of every bit of `mask`, counted from `base`.
    #[inline(always)]
    fn push_mask(&mut self, base: usize, mask: u64) {
        let mut left = mask;
        let mut at = self.filled;
        while left != 0 {
            self.room[at] = base as u32 + left.trailing_zeros();
            left &= left - 1;
            at += 1;
        }
        self.filled = at;
    }

    /// The same for masks of few bits, without a branch on how many there are: where a loop ends is another place in
    /// each block, and every wrong guess costs more than what is written in vain.
    #[inline(always)]
    fn push_few(&mut self, base: usize, mask: u64) {
        let room = &mut self.room[self.filled..][..BLOCK];
        let count = mask.count_ones() as usize;
        let mut left = mask;
        let mut next = || {
            // 64 when none is left: written, and never read.
            let at = base as u32 + left.trailing_zeros();
            left &= left.wrapping_sub(1);
            at
        };
        room[..FEW].fill_with(&mut next);
        if count > FEW {
            room[FEW..count].fill_with(&mut next);
        }
        self.filled += count;
    }

    fn finish(&mut self) {
        self.room[self.filled..][..2].fill(END);
        self.filled += 2;
    }

    fn as_slice(&self) -> &[u32] {
        &self.room[..self.filled]
    }
}

/// How the pass is made on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Plain,
}

impl Way {
    /// All that this processor can go, fastest first.
    fn available() -> impl Iterator<Item = Way> {
        let mut ways = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi2")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("popcnt")
            {
                ways.push(Way::Avx512);
            }
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("popcnt")
            {
                ways.push(Way::Avx2);
            }
        }
        ways.push(Way::Plain);
        ways.into_iter()
    }
}

/// What one pass over the text found.
pub(super) struct Marks {
    quotes: Positions,
    specials: Positions,
    way: Way,
}

impl Default for Marks {
    fn default() -> Marks {
        Marks::with(Way::available().next().unwrap_or(Way::Plain))
    }
}

impl Marks {
    fn with(way: Way) -> Marks {
        Marks {
            quotes: Positions::default(),
            specials: Positions::default(),
            way,
        }
    }

    #[cfg(test)]
    pub(super) fn of_every_way() -> impl Iterator<Item = Marks> {
        Way::available().map(Marks::with)
    }

    /// Positions of unescaped quotes, in pairs: where a string opens and where it closes.
    pub(super) fn strings(&self) -> &[[u32; 2]] {
        self.quotes.as_slice().as_chunks().0
    }

    /// Positions of backslashes, and of control characters within strings.
    pub(super) fn specials(&self) -> &[u32] {
        self.specials.as_slice()
    }

    /// Reads `bytes` once; gives them as text.
    pub(super) fn scan<'d>(&mut self, bytes: &'d [u8]) -> Result<&'d str, Malformed> {
        self.quotes.start(bytes.len());
        self.specials.start(bytes.len());
        let foreign = match self.way {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Way::available` gives this way only on processors that have all features it is
            // compiled with.
            Way::Avx512 => unsafe { scan_avx512(bytes, self) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Way::Avx2 => unsafe { scan_avx2(bytes, self) },
            Way::Plain => scan_plain(bytes, self),
        };
        self.quotes.finish();
        self.specials.finish();
        let end = foreign.end.min(bytes.len());
        if let Err(error) = std::str::from_utf8(&bytes[foreign.start..end]) {
            return Err(Malformed::new(
                Reason::NotUtf8,
                foreign.start + error.valid_up_to(),
            ));
        }
        // SAFETY: the pass found bytes above 0x7F in the blocks of `foreign` only. Everything outside is
        // ASCII, and that part was just found to be UTF-8 by itself; so is the whole.
        Ok(unsafe { std::str::from_utf8_unchecked(bytes) })
    }
}

/// The part of a text outside of which all is ASCII. May end behind the text.
#[derive(Clone, Copy, Default)]
struct Foreign {
    start: usize,
    end: usize,
}

/// Where 64 bytes are what: one bit per byte, the first byte lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Masks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    foreign: u64,
}

/// What one block leaves to the next.
#[derive(Default)]
struct Carry {
    /// 1 when the next byte is escaped.
    escaped: u64,
    /// Odd within a string.
    quotes: u32,
    foreign: Foreign,
}

impl Carry {
    /// The quotes of a block that are not escaped; notes everything else.
    #[inline(always)]
    fn settle(&mut self, masks: Masks, base: usize, specials: &mut Positions) -> u64 {
        if masks.foreign != 0 {
            if self.foreign.end == 0 {
                self.foreign.start = base;
            }
            self.foreign.end = base + BLOCK;
        }
        let mut quotes = masks.quotes;
        if masks.backslashes | masks.controls | self.escaped != 0 {
            quotes &= !self.escaped_bytes(masks.backslashes);
            // All ones when the block begins within a string.
            let in_string = prefix_xor(quotes) ^ u64::from(self.quotes & 1).wrapping_neg();
            specials.push_mask(base, masks.backslashes | (masks.controls & in_string));
        }
        self.quotes = self.quotes.wrapping_add(quotes.count_ones());
        quotes
    }

    /// The bytes that a backslash before them escapes: those after an odd number of backslashes. Within a run of
    /// backslashes every second one is escaped. Subtracting the starts of escapes from a mask of odd
    /// bits flips the parity of runs that start on odd bits.
    #[inline(always)]
    fn escaped_bytes(&mut self, backslashes: u64) -> u64 {
        const ODD_BITS: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        let escaping = backslashes & !self.escaped;
        let maybe_escaped = escaping << 1;
        let alternating = (maybe_escaped | ODD_BITS).wrapping_sub(escaping) ^ ODD_BITS;
        let escaped = alternating ^ (backslashes | self.escaped);
        self.escaped = (alternating & backslashes) >> 63;
        escaped
    }
}

/// For every bit, whether it and those below it are odd in number.
#[inline(always)]
fn prefix_xor(mask: u64) -> u64 {
    let mut odd = mask;
    for shift in [1, 2, 4, 8, 16, 32] {
        odd ^= odd << shift;
    }
    odd
}

/// The last bytes of a text as a block, filled up with spaces.
#[inline(always)]
fn filled_up(rest: &[u8]) -> [u8; BLOCK] {
    let mut last = [b' '; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    last
}

fn scan_plain(bytes: &[u8], marks: &mut Marks) -> Foreign {
    let mut carry = Carry::default();
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        let quotes = carry.settle(masks_plain(block), index * BLOCK, &mut marks.specials);
        marks.quotes.push_mask(index * BLOCK, quotes);
    }
    if !rest.is_empty() {
        let base = bytes.len() - rest.len();
        let quotes = carry.settle(masks_plain(&filled_up(rest)), base, &mut marks.specials);
        marks.quotes.push_mask(base, quotes);
    }
    carry.foreign
}

/// Eight bytes at a time in one register.
fn masks_plain(block: &[u8; BLOCK]) -> Masks {
    const ONES: u64 = u64::MAX / 0xFF;
    const LOW: u64 = ONES * 0x7F;
    const HIGH: u64 = ONES * 0x80;
    // The high bit of every byte, gathered: each product bit lands in its own place of the top byte.
    let gather = |highs: u64| (highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    // The high bit of every byte that is 0. No carry crosses bytes.
    let zeros = |word: u64| !(((word & LOW) + LOW) | word) & HIGH;
    let mut masks = Masks::default();
    let (words, _) = block.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let shift = index * 8;
        masks.quotes |= gather(zeros(word ^ (ONES * u64::from(b'"')))) << shift;
        masks.backslashes |= gather(zeros(word ^ (ONES * u64::from(b'\\')))) << shift;
        masks.controls |= gather(zeros(word & (ONES * 0xE0))) << shift;
        masks.foreign |= gather(word & HIGH) << shift;
    }
    masks
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// # Safety
/// The processor must have the features named here.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,popcnt")]
unsafe fn scan_avx512(bytes: &[u8], marks: &mut Marks) -> Foreign {
    let mut carry = Carry::default();
    let mut filled = 0;
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        // SAFETY: the load reads the 64 bytes of the block.
        let text = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let base = index * BLOCK;
        let quotes = carry.settle(masks_avx512(text), base, &mut marks.specials);
        filled += write_avx512(&mut marks.quotes.room[filled..], base, quotes);
    }
    if !rest.is_empty() {
        // SAFETY: only the bytes of `rest` are read; a masked load does not touch others, which become spaces.
        let text = unsafe {
            let spaces = _mm512_set1_epi8(b' ' as i8);
            _mm512_mask_loadu_epi8(spaces, !(u64::MAX << rest.len()), rest.as_ptr().cast())
        };
        let base = bytes.len() - rest.len();
        let quotes = carry.settle(masks_avx512(text), base, &mut marks.specials);
        filled += write_avx512(&mut marks.quotes.room[filled..], base, quotes);
    }
    marks.quotes.filled = filled;
    carry.foreign
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn masks_avx512(text: __m512i) -> Masks {
    Masks {
        quotes: _mm512_cmpeq_epi8_mask(text, _mm512_set1_epi8(b'"' as i8)),
        backslashes: _mm512_cmpeq_epi8_mask(text, _mm512_set1_epi8(b'\\' as i8)),
        controls: _mm512_cmplt_epu8_mask(text, _mm512_set1_epi8(0x20)),
        foreign: _mm512_movepi8_mask(text),
    }
}

/// Writes the position of every bit of `mask`, counted from `base`, to the start of `room`, which must have
/// room for a whole block. Gives their number.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
fn write_avx512(room: &mut [u32], base: usize, mask: u64) -> usize {
    let numbers = _mm512_set_epi64(
        0x3F3E_3D3C_3B3A_3938,
        0x3736_3534_3332_3130,
        0x2F2E_2D2C_2B2A_2928,
        0x2726_2524_2322_2120,
        0x1F1E_1D1C_1B1A_1918,
        0x1716_1514_1312_1110,
        0x0F0E_0D0C_0B0A_0908,
        0x0706_0504_0302_0100,
    );
    let packed = _mm512_maskz_compress_epi8(mask, numbers);
    let bases = _mm512_set1_epi32(base as i32);
    let count = mask.count_ones() as usize;
    let room = &mut room[..BLOCK];
    // SAFETY: every store writes 16 of the 64 positions of `room`.
    unsafe {
        let first = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(packed));
        _mm512_storeu_si512(room.as_mut_ptr().cast(), _mm512_add_epi32(first, bases));
        if count > 16 {
            let second = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<1>(packed));
            _mm512_storeu_si512(
                room.as_mut_ptr().add(16).cast(),
                _mm512_add_epi32(second, bases),
            );
            let third = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<2>(packed));
            _mm512_storeu_si512(
                room.as_mut_ptr().add(32).cast(),
                _mm512_add_epi32(third, bases),
            );
            let fourth = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32::<3>(packed));
            _mm512_storeu_si512(
                room.as_mut_ptr().add(48).cast(),
                _mm512_add_epi32(fourth, bases),
            );
        }
    }
    count
}

/// # Safety
/// The processor must have the features named here.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
unsafe fn scan_avx2(bytes: &[u8], marks: &mut Marks) -> Foreign {
    let mut carry = Carry::default();
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        let base = index * BLOCK;
        let quotes = quotes_avx2(block, base, &mut carry, &mut marks.specials);
        marks.quotes.push_few(base, quotes);
    }
    if !rest.is_empty() {
        let base = bytes.len() - rest.len();
        let quotes = quotes_avx2(&filled_up(rest), base, &mut carry, &mut marks.specials);
        marks.quotes.push_few(base, quotes);
    }
    carry.foreign
}

/// The quotes of a block that are not escaped. Whether anything else is unusual in it is asked once, of everything.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn quotes_avx2(
    block: &[u8; BLOCK],
    base: usize,
    carry: &mut Carry,
    specials: &mut Positions,
) -> u64 {
    // SAFETY: both loads read 32 of the 64 bytes of the block.
    let halves: [__m256i; 2] = unsafe {
        [
            _mm256_loadu_si256(block.as_ptr().cast()),
            _mm256_loadu_si256(block.as_ptr().add(32).cast()),
        ]
    };
    // The upper bit of every byte that is a backslash, a control character or beyond ASCII.
    let unusual = halves.map(|half| {
        let backslashes = _mm256_cmpeq_epi8(half, _mm256_set1_epi8(b'\\' as i8));
        let controls = _mm256_cmpeq_epi8(_mm256_min_epu8(half, _mm256_set1_epi8(0x1F)), half);
        _mm256_or_si256(_mm256_or_si256(backslashes, controls), half)
    });
    let unusual = _mm256_movemask_epi8(_mm256_or_si256(unusual[0], unusual[1]));
    if unusual as u64 | carry.escaped != 0 {
        return carry.settle(masks_avx2(halves), base, specials);
    }
    let quotes =
        mask_avx2(halves.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(b'"' as i8))));
    carry.quotes = carry.quotes.wrapping_add(quotes.count_ones());
    quotes
}

/// The upper bit of every byte.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn mask_avx2(halves: [__m256i; 2]) -> u64 {
    u64::from(_mm256_movemask_epi8(halves[0]) as u32)
        | u64::from(_mm256_movemask_epi8(halves[1]) as u32) << 32
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn masks_avx2(halves: [__m256i; 2]) -> Masks {
    let equal = |byte: u8| halves.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8)));
    let at_most = |byte: u8| {
        halves.map(|half| {
            _mm256_cmpeq_epi8(_mm256_min_epu8(half, _mm256_set1_epi8(byte as i8)), half)
        })
    };
    Masks {
        quotes: mask_avx2(equal(b'"')),
        backslashes: mask_avx2(equal(b'\\')),
        controls: mask_avx2(at_most(0x1F)),
        foreign: mask_avx2(halves),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the pass must find, byte by byte.
    fn expected(bytes: &[u8]) -> (Vec<u32>, Vec<u32>) {
        let (mut quotes, mut specials) = (Vec::new(), Vec::new());
        let (mut in_string, mut escaped) = (false, false);
        for (position, byte) in (0..).zip(bytes) {
            match byte {
                b'\\' => specials.push(position),
                b'"' if !escaped => {
                    quotes.push(position);
                    in_string = !in_string;
                }
                0..0x20 if in_string => specials.push(position),
                _ => {}
            }
            escaped = *byte == b'\\' && !escaped;
        }
        (quotes, specials)
    }

    fn check(bytes: &[u8]) {
        let (mut quotes, mut specials) = expected(bytes);
        quotes.extend([END, END]);
        specials.extend([END, END]);
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Malformed::new(Reason::NotUtf8, error.valid_up_to()));
        for way in Way::available() {
            let mut marks = Marks::with(way);
            assert_eq!(marks.scan(bytes), text, "{way:?} {bytes:?}");
            assert_eq!(marks.quotes.as_slice(), quotes, "{way:?} {bytes:?}");
            assert_eq!(marks.specials(), specials, "{way:?} {bytes:?}");
        }
    }

    #[test]
    fn lengths_around_blocks() {
        for length in 0..=200 {
            check(&b"\"".repeat(length));
            check(&b"\\".repeat(length));
            check(&b"x".repeat(length));
            check(&b"\"\n".repeat(length));
            check(&[b"\"".repeat(length), b"\\\"".repeat(70)].concat());
            check(&[b"\\".repeat(length), b"\"\x1f\"\x1f".to_vec()].concat());
            check(&["é".repeat(length).into_bytes(), b"\xff".to_vec()].concat());
            check(&[b"x".repeat(length), "é€😀".as_bytes().to_vec()].concat());
            check(&[b"x".repeat(length), b"\xc3".to_vec(), b"x".repeat(70)].concat());
        }
    }

    #[test]
    fn every_byte_in_every_lane() {
        for byte in 0..=255 {
            for lane in 0..BLOCK {
                let mut block = [b'"'; BLOCK];
                block[lane] = byte;
                check(&block);
                let mut block = [b'x'; BLOCK];
                block[0] = b'"';
                block[lane] = byte;
                check(&block);
            }
        }
    }

    #[test]
    fn random_texts_of_what_matters() {
        const ALPHABET: [&[u8]; 12] = [
            b"\"",
            b"\"",
            b"\\",
            b"\\",
            b"x",
            b"\n",
            b"\x1f",
            b" ",
            b"\x7f",
            b"\xc3\xa9",
            b"\xf0",
            b"xxxxxxxxx",
        ];
        let mut state = 1u64;
        for round in 0..3000 {
            let mut text = Vec::new();
            while text.len() < round % 300 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                // Some texts hold backslashes and quotes only.
                let choices = if round % 2 == 0 {
                    4
                } else {
                    ALPHABET.len() as u64
                };
                text.extend(ALPHABET[((state >> 33) % choices) as usize]);
            }
            check(&text);
        }
    }

    #[test]
    fn memory_of_a_large_event_is_given_back() {
        let mut marks = Marks::default();
        assert!(marks.scan(&vec![b'"'; POSITIONS_KEPT_MAX * 2]).is_ok());
        assert!(marks.quotes.room.len() > POSITIONS_KEPT_MAX);
        assert!(marks.scan(b"{}").is_ok());
        assert!(marks.quotes.room.len() <= POSITIONS_KEPT_MAX);
    }
}
