//! Register stages of the lanes of requantiser and vector unit, and of the vector unit's reductions.
//!
//! A configuration may leave registers out, see [`Pipeline::compact`](crate::configuration::Pipeline::compact). Which of them stay
//! is said here only: the RTL takes its registers from these lists, and the latency table their sum.

use crate::configuration::Configuration;
use crate::vector::Path;

macro_rules! stages {
    ($(#[$about:meta])* $name:ident {
        $($(#[$text:meta])* $stage:ident: $full:literal, $compact:literal $(if $condition:ident)?;)+
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$text])* $stage,)+
        }

        impl $name {
            /// All stages in the order of the data's way.
            pub const ALL: &'static [$name] = &[$($name::$stage),+];

            /// Registers of this stage: 0 where the configuration leaves it out.
            pub fn cycles(self, configuration: &Configuration) -> u32 {
                let (exists, full, compact) = match self {
                    $($name::$stage => (true $(&& configuration.$condition())?, $full, $compact),)+
                };
                if !exists {
                    return 0;
                }
                if configuration.pipeline.compact { compact } else { full }
            }

            /// Cycles of all stages before this one.
            pub fn begin(self, configuration: &Configuration) -> u32 {
                let before = Self::ALL.iter().take_while(|stage| **stage != self);
                before.map(|stage| stage.cycles(configuration)).sum()
            }

            /// Cycles of all stages up to this one and with it.
            pub fn end(self, configuration: &Configuration) -> u32 {
                self.begin(configuration) + self.cycles(configuration)
            }

            /// Cycles of all stages.
            pub fn cycles_of_all(configuration: &Configuration) -> u32 {
                Self::ALL.iter().map(|stage| stage.cycles(configuration)).sum()
            }
        }
    };
}

stages! {
    /// A stage of a requantiser lane, behind the crossbar: its registers in a full pipeline, and in a compact one. There the adders
    /// and multiplexers whose registers take no cell of their own keep them.
    LaneStage {
        /// The operand, chosen of drains and stream; beside it what the scale table says about it.
        Operand: 1, 1;
        /// Its sum with the bias.
        Sum: 1, 0 if wide_scales;
        /// Shifted to the left by a multiple of eight.
        CoarseLeft: 1, 0 if wide_scales;
        /// Shifted to the left.
        Left: 1, 1 if wide_scales;
        /// The product of the multiplier primitive.
        Product: 6, 1 if wide_scales;
        /// The product with a narrow scale's multiplier.
        NarrowProduct: 4, 1 if narrow_scales;
        /// The doubled high half of the product.
        High: 1, 0;
        /// What is added before the right shift, so that it rounds.
        Half: 1, 0;
        /// The sum with it.
        WithHalf: 1, 1;
        /// Shifted to the right by a multiple of eight.
        CoarseRight: 1, 0;
        /// Shifted to the right.
        Right: 1, 1;
        /// The sum with the zero point.
        Offset: 1, 0 if wide_scales;
        /// Its comparison with the limits.
        Compared: 1, 0;
        /// The element.
        Clamped: 1, 1;
    }
}

impl VectorStage {
    /// Is the stage on the way `path`?
    pub fn is_on(self, path: Path) -> bool {
        match self {
            VectorStage::Operands
            | VectorStage::Candidates
            | VectorStage::Value
            | VectorStage::Saturated
            | VectorStage::Compared
            | VectorStage::Clamped => true,
            VectorStage::Product
            | VectorStage::WithHalf
            | VectorStage::CoarseShift
            | VectorStage::Shifted
            | VectorStage::Narrowed
            | VectorStage::Combined => path >= Path::Arithmetic,
            VectorStage::Segment | VectorStage::Slope | VectorStage::Interpolated => path >= Path::Table,
        }
    }

    /// Cycles of all stages on the way `path`.
    pub fn cycles_of_path(path: Path, configuration: &Configuration) -> u32 {
        let stages = Self::ALL.iter().filter(|stage| stage.is_on(path));
        stages.map(|stage| stage.cycles(configuration)).sum()
    }
}

stages! {
    /// A stage of a vector unit lane, behind the crossbar.
    VectorStage {
        /// Both operands.
        Operands: 1, 0;
        /// The results of all functions.
        Candidates: 1, 0;
        /// That of the function asked for.
        Value: 1, 1;
        /// It, saturated to an element.
        Saturated: 1, 0 if vector_multiplies;
        /// Its product.
        Product: 3, 1 if vector_multiplies;
        /// Its sum with what lets the right shift round; the product's sign is known before the product.
        WithHalf: 1, 1 if vector_multiplies;
        /// Shifted by a multiple of eight.
        CoarseShift: 1, 0 if vector_multiplies;
        /// Shifted.
        Shifted: 1, 1 if vector_multiplies;
        /// Saturated to an element again.
        Narrowed: 1, 0 if vector_multiplies;
        /// Added to the steps of the run before it.
        Combined: 1, 1 if vector_multiplies;
        /// The table's segment: its value and difference.
        Segment: 2, 1 if vector_multiplies;
        /// The difference times the place in the segment.
        Slope: 3, 1 if vector_multiplies;
        /// The value between the segment's ends.
        Interpolated: 1, 1 if vector_multiplies;
        /// Its comparison with the limits.
        Compared: 1, 0;
        /// The element.
        Clamped: 1, 1;
    }
}

stages! {
    /// A stage of what one lane adds to a reduction, behind its result.
    TermStage {
        /// The result times itself.
        Square: 3, 1;
        /// Its sum with what lets the shift round.
        WithHalf: 1, 0;
        /// Shifted by a multiple of eight.
        CoarseShift: 1, 0;
        /// What is added up: that, shifted by the rest, or the result itself.
        Term: 1, 1;
    }
}

stages! {
    /// A stage from the sum of a reduction to the scalar that it becomes.
    NormaliseStage {
        /// The sum without 16 leading zeros.
        By16: 1, 0;
        /// Without eight more.
        By8: 1, 0;
        /// Without four more.
        By4: 1, 0;
        /// Without the last ones.
        Rest: 1, 1;
        /// The table's segment.
        Segment: 2, 1;
        /// The difference times the place in the segment.
        Slope: 3, 1;
        /// The value between the segment's ends.
        Interpolated: 1, 1;
        /// The scalar, as it is written.
        Scalar: 1, 1;
    }
}

/// A register stage of the vector unit's softmax, behind the crossbar: an element's way from its word into the word of results. Every
/// machine that has one has all of them. The sum goes another way: see [`SoftmaxStage::Summand`] to [`SoftmaxStage::Normalised`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftmaxStage {
    /// The word's elements, which move on by one each cycle.
    Element,
    /// The element alone; beside it whether it is within the row.
    Counted,
    /// Its distance from the largest, for which that is up to date.
    Distance,
    /// The exponential, of the table.
    Exponential,
    /// Both operands of the multiplier: the exponential and the sum's reciprocal.
    Operands,
    /// Their product.
    Product,
    /// Its upper half, rounded.
    High,
    /// With what lets the right shift round.
    WithHalf,
    /// Shifted.
    Shifted,
    /// In the word of results.
    Word,
    /// Beside the operands: what is added to the sum.
    Summand,
    /// The sum.
    Sum,
    /// Where its highest bit stands.
    Leading,
    /// The sum, shifted to its highest bit.
    Normalised,
}

impl SoftmaxStage {
    /// Cycles of the product: those of the multiplier of 32 by 31 bits.
    pub const PRODUCT: u32 = 6;
    /// Cycles of a product of the reciprocal's iteration: operands, product, upper half, and what is made of it.
    pub const TURN: u32 = 1 + Self::PRODUCT + 1 + 1;
    /// Products of the reciprocal: the first guess, and two for each of three steps by Newton's method.
    pub const TURNS: u32 = 7;
    /// Cycles from the normalised sum to its reciprocal.
    pub const RECIPROCAL: u32 = Self::TURN * Self::TURNS;

    /// Cycles from the word behind the crossbar to the end of the stage, for the word's first element.
    #[must_use]
    pub const fn end(self) -> u32 {
        match self {
            SoftmaxStage::Element => 1,
            SoftmaxStage::Counted => 2,
            SoftmaxStage::Distance => 3,
            // The block RAM and its output register.
            SoftmaxStage::Exponential => SoftmaxStage::Distance.end() + 2,
            SoftmaxStage::Operands | SoftmaxStage::Summand => SoftmaxStage::Exponential.end() + 1,
            SoftmaxStage::Product => SoftmaxStage::Operands.end() + Self::PRODUCT,
            SoftmaxStage::High => SoftmaxStage::Product.end() + 1,
            SoftmaxStage::WithHalf => SoftmaxStage::High.end() + 1,
            SoftmaxStage::Shifted => SoftmaxStage::WithHalf.end() + 1,
            SoftmaxStage::Word => SoftmaxStage::Shifted.end() + 1,
            SoftmaxStage::Sum => SoftmaxStage::Summand.end() + 1,
            SoftmaxStage::Leading => SoftmaxStage::Sum.end() + 1,
            SoftmaxStage::Normalised => SoftmaxStage::Leading.end() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Extensions, Pipeline};

    #[test]
    fn stages_follow_each_other() {
        let full = Configuration::default();
        let pipeline = Pipeline { compact: true, ..Pipeline::default() };
        let compact = Configuration { pipeline, ..full.clone() };
        for configuration in [&full, &compact] {
            for pair in LaneStage::ALL.windows(2) {
                assert_eq!(pair[0].end(configuration), pair[1].begin(configuration), "{pair:?}");
            }
            assert_eq!(LaneStage::Clamped.end(configuration), LaneStage::cycles_of_all(configuration));
        }
        assert_eq!((LaneStage::cycles_of_all(&full), LaneStage::cycles_of_all(&compact)), (18, 6));
        assert_eq!((VectorStage::cycles_of_all(&full), VectorStage::cycles_of_all(&compact)), (5, 2));
        let narrow = [&full, &compact].map(|machine| Configuration { narrow_scales: true, ..machine.clone() });
        assert_eq!(narrow.map(|machine| LaneStage::cycles_of_all(&machine)), [12, 5]);
        let extensions = Some(Extensions { registers: 1, scalars: 2, tables: 1, tokens: 0 });
        let [full, compact] = [full, compact].map(|configuration| Configuration { extensions, ..configuration });
        assert_eq!((VectorStage::cycles_of_all(&full), VectorStage::cycles_of_all(&compact)), (20, 9));
        let paths = [Path::Plain, Path::Arithmetic, Path::Table].map(|path| VectorStage::cycles_of_path(path, &full));
        assert_eq!(paths, [6, 14, 20]);
    }
}
