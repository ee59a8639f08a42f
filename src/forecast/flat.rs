//! Numbers for flat loops: `exp` and `ln` that a compiler can spread over vector lanes and that give the same bits on every
//! machine, the widest lanes that this one has, and two 16-bit formats for what is kept by the thousand.

/// Does `work` in the widest vector lanes that this processor has: what is inlined into it is compiled for each kind. The bits
/// are the same, as no operation is fused or reordered.
#[inline]
pub fn wide<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// `e^x`, relative error below 2e-7 (Cephes `expf`, Moshier 1992). Saturates beyond ±87; NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// 1.5 x 2^23: what is added to it is rounded to a whole number, which its lowest bits then hold.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (p * r * r + r + 1.0) * power
}

/// Natural logarithm of a positive, normal number, error below 2e-7 (Cephes `logf`).
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    /// The bits of the square root of a half.
    const HALF_ROOT: u32 = 0x3f35_04f3;
    let bits = x.to_bits();
    let exponent = bits.wrapping_sub(HALF_ROOT).cast_signed() >> 23;
    let f = f32::from_bits(bits.wrapping_sub((exponent << 23).cast_unsigned())) - 1.0;
    let e = exponent as f32;
    let z = f * f;
    let p = 7.037_683_6e-2;
    let p = p * f - 1.151_461e-1;
    let p = p * f + 1.167_699_8e-1;
    let p = p * f - 1.242_014_1e-1;
    let p = p * f + 1.424_932_3e-1;
    let p = p * f - 1.666_805_8e-1;
    let p = p * f + 2.000_071_5e-1;
    let p = p * f - 2.499_999_4e-1;
    let p = p * f + 0.333_333_3;
    let y = p * f * z - 2.121_944_4e-4 * e - 0.5 * z;
    f + y + 0.693_359_4 * e
}

/// A number in IEEE 754 binary16: error below 0.05 % between 6e-5 and 65,504, saturating above, zero below; NaN stays NaN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Half(u16);

impl Half {
    /// Rounded to nearest.
    #[inline]
    pub fn new(value: f32) -> Half {
        let bits = value.to_bits();
        let sign = (bits >> 16) & 0x8000;
        let size = (bits & 0x7fff_ffff) + 0x1000;
        let rest = match size {
            _ if value.is_nan() => 0x7e00,
            0..0x3880_0000 => 0,
            0x4780_0000.. => 0x7bff,
            _ => (size - 0x3800_0000) >> 13,
        };
        Half((sign | rest) as u16)
    }

    /// The number.
    #[inline]
    pub fn get(self) -> f32 {
        let bits = u32::from(self.0);
        let (sign, rest) = ((bits & 0x8000) << 16, bits & 0x7fff);
        match rest {
            0 => 0.0,
            0x7c00.. => f32::NAN,
            _ => f32::from_bits(sign | ((rest << 13) + 0x3800_0000)),
        }
    }
}

/// A distance from 0 to 24 in steps of 1/1365, and a mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marked(u16);

/// Steps of a [`Marked`] in a distance of 1.
const FINE: f32 = 32_768.0 / 24.0;

impl Marked {
    /// Rounded to nearest, clamped.
    pub fn new(distance: f32, mark: bool) -> Marked {
        let steps = (distance * FINE + 0.5).clamp(0.0, 32_767.0) as u16;
        Marked(steps << 1 | u16::from(mark))
    }

    /// The distance.
    #[inline]
    pub fn distance(self) -> f32 {
        f32::from(self.0 >> 1) * (1.0 / FINE)
    }

    /// The mark.
    #[inline]
    pub fn marked(self) -> bool {
        self.0 & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_ln_are_those_of_the_standard_library() {
        for i in -8600..8600 {
            let x = i as f32 / 100.0 + 0.003;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7, "{x}: {} {exact}", exp(x));
            let y = exact as f32;
            if y.is_normal() {
                let exact = f64::from(y).ln();
                assert!((f64::from(ln(y)) - exact).abs() < 2e-7 * exact.abs().max(1.0), "{y}: {} {exact}", ln(y));
            }
        }
        assert_eq!((exp(0.0), ln(1.0)), (1.0, 0.0));
        assert!(exp(f32::NAN).is_nan() && exp(1e9).is_finite() && exp(-1e9) < 1e-37);
    }

    #[test]
    fn a_half_is_near_and_knows_its_ends() {
        for i in 0..4000 {
            let x = (i as f32 / 100.0 - 9.5).exp() * if i % 2 == 0 { 1.0 } else { -1.0 };
            let near = Half::new(x).get();
            let bound = if x.abs() > 65_504.0 { continue } else { 0.0005 * x.abs() };
            assert!((near - x).abs() <= bound || x.abs() < 1e-4, "{x} {near}");
        }
        assert_eq!(
            [0.0, 1.0, -2.5, 1e9, -1e9, f32::INFINITY].map(|v| Half::new(v).get()),
            [0.0, 1.0, -2.5, 65_504.0, -65_504.0, 65_504.0]
        );
        assert!(Half::new(f32::NAN).get().is_nan());
    }

    #[test]
    fn a_mark_and_a_distance_travel_together() {
        for (distance, mark) in [(0.0, true), (3.25, false), (15.9, true)] {
            let both = Marked::new(distance, mark);
            assert!((both.distance() - distance).abs() <= 0.51 / FINE && both.marked() == mark);
        }
        assert_eq!(Marked::new(-1.0, true).distance(), 0.0);
        assert_eq!(Marked::new(99.0, false).distance(), 32_767.0 * (1.0 / FINE));
        assert_eq!(Marked::new(f32::NAN, false).distance(), 0.0);
    }
}
