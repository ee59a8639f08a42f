//! What is kept by the thousand, in half the room.

/// A number that is not negative, in 16 bits: 7 of exponent, 9 of mantissa. Error at most 0.1 % between 2^-63 and 2^64;
/// smaller ones, negative ones and NaN are 0, larger ones the largest. Codes are ordered as the numbers are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Brief(u16);

/// Bits of a mantissa that are left out.
const CUT: u32 = 23 - 9;
/// The code that an `f32` of 2^-63 would have.
const LEAST: u32 = 64 << 9;

impl Brief {
    /// Rounded to nearest.
    #[inline]
    pub fn new(value: f32) -> Brief {
        let code = (value.max(0.0).to_bits() + (1 << (CUT - 1))) >> CUT;
        Brief(code.saturating_sub(LEAST).min(u32::from(u16::MAX)) as u16)
    }

    /// The number.
    #[inline]
    pub fn get(self) -> f32 {
        if self.0 == 0 { 0.0 } else { f32::from_bits((u32::from(self.0) + LEAST) << CUT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_at_every_size() {
        for i in -4300..4400 {
            let value = (i as f32 / 100.0).exp();
            let near = Brief::new(value).get();
            assert!((near / value - 1.0).abs() <= 0.001, "{value} {near}");
        }
        let odd = [0.0, -0.0, -3.0, f32::NAN, 1e-30].map(|v| Brief::new(v).get());
        assert_eq!(odd, [0.0; 5]);
        assert_eq!([1.0, 2.0, 3.0, 510.0, 1022.0].map(|v| Brief::new(v).get()), [1.0, 2.0, 3.0, 510.0, 1022.0]);
        assert!(Brief::new(2.0) < Brief::new(2.1) && Brief::new(0.0) < Brief::new(1e-9));
        assert!(Brief::new(f32::INFINITY).get() > 1e19 && Brief::new(f32::MAX).get().is_finite());
    }
}
